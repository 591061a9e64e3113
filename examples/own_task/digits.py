"""A task of one's own: small networks for handwritten digits, trained with AdamW and label smoothing."""

from pathlib import Path

import torch
from nas_api.spec.trainer import Dataset
from nas_child.data.division import load_search_data
from nas_child.network import ConvolutionalNetwork
from nas_child.task import Report, Trial
from torch.nn import functional

# Loaded once, when the worker imports this module. Replace it with data of your own.
DATA = load_search_data(Dataset(path="digits", validation_fraction=0.2), seed=0, cache=Path("cache"))


def train(trial: Trial, report: Report) -> None:
    """Trains one architecture and reports `val_error`, the part of the validation images told wrong."""
    training, validation = (
        (part.images.to(trial.device) / 255, part.labels.to(trial.device)) for part in (DATA.training, DATA.evaluation)
    )
    network = ConvolutionalNetwork(trial.architecture, DATA.training.shape, DATA.training.classes).to(trial.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=trial.parameters["learningRate"])
    for epoch in range(1, trial.epochs + 1):
        network.train()
        for batch in torch.randperm(len(training[1]), device=trial.device).split(trial.parameters["batchSize"]):
            loss = functional.cross_entropy(
                network(training[0][batch]), training[1][batch], label_smoothing=trial.parameters["labelSmoothing"]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            wrong = network(validation[0]).argmax(dim=1) != validation[1]
        report(epoch, val_error=wrong.float().mean().item())
