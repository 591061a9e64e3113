"""Language models: what a trial learns, reports and how it fails."""

import math
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from nas_api.architectures import Architecture, CellNode, RecurrentCell
from nas_api.architectures.recurrent_cell import LSTM_CELL, NAS_CELL
from nas_api.spec import Reward
from nas_api.spec.trainer import Dataset, LanguageModel, Optimizer, Trainer
from nas_child.data.text_division import load_search_text, load_test_text
from nas_child.network import LanguageModelNetwork
from nas_child.task import FailureReason, StopTrial, Task, TaskError, Trial, TrialFailure
from nas_child.tasks import load_task
from nas_child.training import LanguageModelEpoch, evaluate_language_model, train_language_model
from nas_child.training.language_model import Streams
from nas_controller.journal.journal import Measurement
from nas_controller.reward import compute_reward

from tests.unit.child.network.cells import cells
from tests.unit.child.tasks.networks import small_network

torch.set_num_threads(1)

Series = list[tuple[int, dict[str, float]]]
CPU = torch.device("cpu")
PAPER = Reward.model_validate(
    {"metric": "val_perplexity", "aggregate": "Min", "window": "all", "scale": 80, "exponent": -3}
)


def trainer_of(path: str, **changes: object) -> Trainer:
    fields: dict[str, object] = {
        "task": "language-model",
        "epochs": 2,
        "batch_size": 16,
        "dataset": Dataset(path=path),
        "optimizer": Optimizer(type="AdamW", learning_rate=0.01),
        "language_model": LanguageModel(level="Characters", hidden_size=24, layers=1, dropout=0, bptt=16),
    }
    return Trainer.model_validate(fields | changes)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Part of the reference of Python: a real text, short enough for a test."""
    from nas_child.data import python_reference

    folder = tmp_path_factory.mktemp("text")
    for part, length in (("train", 16_000), ("valid", 3_000), ("test", 3_000)):
        (folder / f"{part}.txt").write_text(python_reference.read(part, words=False)[:length])
    return str(folder)


def prepared(trainer: Trainer, cache: Path) -> Task:
    task = load_task(trainer)
    task.prepare(trainer, seed=0, cache=cache)
    return task


def run(task: Task, trainer: Trainer, cell: Architecture = LSTM_CELL, seed: int = 0) -> Series:
    series: Series = []
    trial = Trial(cell, seed, trainer, CPU, Path("nowhere"))
    task.run(trial, lambda step, **metrics: series.append((step, metrics)))
    return series


@pytest.mark.parametrize("cell", [LSTM_CELL, NAS_CELL], ids=["LSTM", "NASCell"])
def test_characters_are_learnt_and_every_epoch_is_reported(cell: RecurrentCell, text: str, tmp_path: Path) -> None:
    trainer = trainer_of(text)
    series = run(prepared(trainer, tmp_path), trainer, cell)
    assert [step for step, _ in series] == [1, 2]
    first, last = (metrics for _, metrics in series)
    assert set(last) == {"train_loss", "val_loss", "val_perplexity"}
    assert last["val_perplexity"] == math.exp(last["val_loss"])
    assert last["val_perplexity"] < first["val_perplexity"] < 40  # of 90 different characters
    assert last["train_loss"] < first["train_loss"]


def test_words_of_the_built_in_corpus_are_learnt(tmp_path: Path) -> None:
    settings_ = LanguageModel(level="Words", max_vocabulary=300, hidden_size=16, layers=2, shared_embeddings=True)
    trainer = trainer_of("pydoc", epochs=1, batch_size=64, language_model=settings_)
    task = prepared(trainer, tmp_path)
    task.warm_up()
    assert run(task, trainer)[0][1]["val_perplexity"] < 150  # of 300 words


def test_the_same_seed_gives_the_same_metrics_bit_for_bit(text: str, tmp_path: Path) -> None:
    dropped = LanguageModel(level="Characters", hidden_size=16, layers=2, dropout=0.3, bptt=16)
    trainer = trainer_of(text, epochs=1, language_model=dropped)
    task = prepared(trainer, tmp_path)
    first = run(task, trainer, seed=5)
    torch.rand(7)  # whatever happened before
    task.warm_up()
    assert run(task, trainer, seed=5) == first
    assert run(task, trainer, seed=6) != first


@pytest.mark.parametrize("precision", ["BFloat16", "Float16"])
def test_mixed_precision_is_used_and_near_to_float32(precision: str, text: str, tmp_path: Path) -> None:
    losses = {}
    for kind in ("Float32", precision):
        trainer = trainer_of(text, epochs=1, precision=kind)
        losses[kind] = run(prepared(trainer, tmp_path), trainer)[0][1]["val_loss"]
    assert losses[precision] != losses["Float32"]
    assert losses[precision] == pytest.approx(losses["Float32"], rel=0.03)


def node(combination: str, activation: str) -> CellNode:
    return CellNode.model_validate({"combination": combination, "activation": activation})


# The root is h * h, roughly, with nothing to bound it: it grows without limit from step to step.
EXPLODING = RecurrentCell(
    nodes=(node("add", "identity"), node("add", "identity"), node("multiply", "identity")),
    inject=node("add", "identity"),
    inject_index=2,
    memory_index=2,
)


def test_a_cell_that_explodes_is_a_failed_trial(text: str, tmp_path: Path) -> None:
    trainer = trainer_of(text, optimizer=Optimizer(learning_rate=100))
    with pytest.raises(TrialFailure, match=r"(loss|perplexity) is (nan|inf) at step 1") as caught:
        run(prepared(trainer, tmp_path), trainer, EXPLODING)
    assert caught.value.reason is FailureReason.NON_FINITE_METRIC


@pytest.mark.parametrize(("loss", "perplexity"), [(0.0, 1.0), (710.0, math.inf), (math.inf, math.inf)])
def test_a_perplexity_that_no_float_holds_is_infinite(loss: float, perplexity: float) -> None:
    """A loss of more than 709 overflows: it is no error, and the task makes a failed trial of it."""
    assert LanguageModelEpoch(1, 1.0, loss).perplexity == perplexity


@pytest.mark.parametrize(
    ("perplexities", "reward"),
    [
        ([100.0, 80.0, 90.0], 80 / 80.0**3),  # the lowest of all epochs
        ([1.0], 80.0),
        ([1e300], 0.0),  # so bad that it underflows
    ],
)
def test_the_paper_s_reward_is_made_of_the_lowest_perplexity(perplexities: list[float], reward: float) -> None:
    measured = [Measurement(step, {"val_perplexity": value}, 0.0) for step, value in enumerate(perplexities, 1)]
    assert compute_reward(measured, PAPER) == pytest.approx(reward, rel=1e-12)


@given(cells(largest=3))
@settings(max_examples=12, deadline=None)
def test_any_cell_is_trained_or_is_a_failed_trial(text: str, cell: RecurrentCell) -> None:
    trainer = trainer_of(text, epochs=1, batch_size=64)
    task = prepared(trainer, Path("nowhere"))
    with suppress(TrialFailure):
        ((_, metrics),) = run(task, trainer, cell)
        assert metrics["val_perplexity"] >= 1
        assert compute_reward([Measurement(1, metrics, 0.0)], PAPER) >= 0


def test_a_convolutional_network_is_no_language_model(text: str, tmp_path: Path) -> None:
    trainer = trainer_of(text)
    with pytest.raises(TrialFailure, match=r"language-model trains .* RecurrentCell, and this is a ConvNet") as caught:
        run(prepared(trainer, tmp_path), trainer, small_network())
    assert caught.value.reason is FailureReason.INVALID_ARCHITECTURE


def test_a_trial_that_is_asked_to_stop_stops(text: str, tmp_path: Path) -> None:
    steps = []

    def report(step: int, **metrics: float) -> None:
        steps.append(step)
        raise StopTrial

    trainer = trainer_of(text)
    with pytest.raises(StopTrial):
        prepared(trainer, tmp_path).run(Trial(LSTM_CELL, 0, trainer, CPU, tmp_path), report)
    assert steps == [1]


def test_a_text_too_short_for_its_streams_is_said_before_the_first_trial(text: str, tmp_path: Path) -> None:
    message = r"the validation text has 3000 tokens, too few for 2000 pieces side by side \(trainer.batchSize\)"
    with pytest.raises(TaskError, match=message):
        prepared(trainer_of(text, batch_size=2000), tmp_path)


def test_which_text_it_is_stands_in_the_worker_s_log(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prepared(trainer_of(text), tmp_path)
    assert f"{text}: characters, 16,000 for training, 3,000 for validation" in capfd.readouterr().out


def test_streams_are_consecutive_pieces_and_every_token_but_the_first_is_predicted() -> None:
    streams = Streams(torch.arange(23), count=2, steps=4, device=CPU)  # 11 each, one left over
    chunks = list(streams)
    assert len(chunks) == streams.chunks == 3
    assert [tokens.shape for tokens, _ in chunks] == [(4, 2), (4, 2), (2, 2)]
    assert torch.cat([tokens[:, 0] for tokens, _ in chunks]).tolist() == list(range(10))
    assert torch.cat([tokens[:, 1] for tokens, _ in chunks]).tolist() == list(range(11, 21))
    assert all(torch.equal(following, tokens + 1) for tokens, following in chunks)
    assert sum(following.numel() for _, following in chunks) == streams.predicted == 20


def test_the_state_is_carried_from_chunk_to_chunk(text: str, tmp_path: Path) -> None:
    """How an untrained network is measured does not depend on where the text is cut."""
    losses = []
    for bptt in (3, 40):
        sizes = LanguageModel(level="Characters", hidden_size=8, layers=2, dropout=0, bptt=bptt)
        trainer = trainer_of(text, epochs=1, language_model=sizes, optimizer=Optimizer(learning_rate=1e-30))
        losses.append(run(prepared(trainer, tmp_path), trainer)[0][1]["val_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_shared_embeddings_are_one_matrix() -> None:
    sizes = LanguageModel(hidden_size=8, layers=2, shared_embeddings=True)
    shared = LanguageModelNetwork(LSTM_CELL, sizes, 50)
    apart = LanguageModelNetwork(LSTM_CELL, sizes.model_copy(update={"shared_embeddings": False}), 50)
    assert shared.decoder.weight is shared.embedding.weight
    counts = [sum(p.numel() for p in network.parameters()) for network in (shared, apart)]
    assert counts[1] - counts[0] == 50 * 8


def test_a_trained_network_is_measured_on_another_text(text: str, tmp_path: Path) -> None:
    trainer = trainer_of(text)
    data = load_search_text(trainer.dataset, trainer.language_model, tmp_path)
    test = load_test_text(trainer.dataset, trainer.language_model, tmp_path, data.vocabulary)
    torch.manual_seed(0)
    network = LanguageModelNetwork(LSTM_CELL, trainer.language_model, len(data.vocabulary))
    epochs: list[LanguageModelEpoch] = []
    assert train_language_model(network, data, trainer, 2, CPU, epochs.append) == epochs
    assert evaluate_language_model(network, data.validation, trainer, CPU) == epochs[-1].loss

    # Whoever takes the network away gets the loss that is reported.
    pieces = test[: len(test) // 16 * 16].view(16, -1).t()
    with torch.inference_mode():
        scores, _ = network(pieces[:-1], network.initial_state(16))
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), pieces[1:].flatten())
    assert evaluate_language_model(network, test, trainer, CPU) == pytest.approx(loss.item(), rel=1e-5)
