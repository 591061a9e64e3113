"""Small vision transformers for handwritten digits, made of what the search has chosen."""

from pathlib import Path
from typing import Any

import torch
from nas_api.spec.trainer import Dataset
from nas_child.data.division import load_search_data
from nas_child.task import Report, Trial
from torch import Tensor, nn
from torch.nn import functional

# Loaded once, when the worker imports this module. Replace it with data of your own.
DATA = load_search_data(Dataset(path="digits", validation_fraction=0.2), seed=0, cache=Path("cache"))
SIDE = 8  # of an image, in pixels


class VisionTransformer(nn.Module):
    """Scores of the ten digits, (batch, 10), of images, (batch, 1, 8, 8)."""

    def __init__(self, chosen: dict[str, Any]) -> None:
        super().__init__()
        width, patch = chosen["width"], chosen["patch"]
        self.patches = nn.Conv2d(1, width, kernel_size=patch, stride=patch)
        self.positions = nn.Parameter(0.02 * torch.randn((SIDE // patch) ** 2, width))
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    d_model=width,
                    nhead=layer["heads"],
                    dim_feedforward=layer["ratio"] * width,
                    dropout=0.0,
                    activation=getattr(functional, layer["activation"]),
                    batch_first=True,
                    norm_first=chosen["norm"] == "first",
                )
                for layer in chosen["layers"]
            )
        )
        self.head: nn.Module = nn.Linear(width, 10)
        if chosen["head"] == "mlp":
            hidden = chosen["headWidth"]
            self.head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, images: Tensor) -> Tensor:
        """The scores."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        scores: Tensor = self.head(self.layers(tokens).mean(dim=1))
        return scores


def train(trial: Trial, report: Report) -> None:
    """Trains one transformer and reports `val_accuracy`, the part of the validation images told right."""
    training, validation = (
        (part.images.to(trial.device) / 255, part.labels.to(trial.device)) for part in (DATA.training, DATA.evaluation)
    )
    network = VisionTransformer(trial.chosen).to(trial.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=trial.parameters["learningRate"])
    for epoch in range(1, trial.epochs + 1):
        network.train()
        for batch in torch.randperm(len(training[1]), device=trial.device).split(trial.parameters["batchSize"]):
            loss = functional.cross_entropy(network(training[0][batch]), training[1][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            right = network(validation[0]).argmax(dim=1) == validation[1]
        report(epoch, val_accuracy=right.float().mean().item())
