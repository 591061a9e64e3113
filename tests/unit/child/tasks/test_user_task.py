"""A user's own task: it is found, called with what the manifest says, and its failures are results with a reason."""

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from nas_api.architectures import Architecture, Decision, Discrete
from nas_api.manifest import load_manifest
from nas_api.spec.trainer import Dataset, Trainer
from nas_child.task import FailureReason, StopTrial, Task, TaskError, Trial, TrialFailure
from nas_child.tasks import load_task
from nas_child.tasks.user import UserTask
from nas_controller.spaces import build_space

from tests.unit.child.tasks.networks import small_network, trial_of

EXAMPLES = Path(__file__).parents[4] / "examples"


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests import modules from an empty working directory, and what they imported is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith((str(tmp_path), str(EXAMPLES))):
            del sys.modules[name]


def load(source: str, directory: Path, task: str = "mine:train") -> Task:
    (directory / "mine.py").write_text(dedent(source))
    return load_task(Trainer(task=task))


def test_the_function_is_called_with_the_trial_and_what_it_reports_is_passed_on(tmp_path: Path) -> None:
    task = load(
        """
        def train(trial, report):
            assert trial.architecture.layers and trial.device.type == "cpu" and trial.seed == 3
            for epoch in range(trial.epochs):
                report(epoch, score=trial.parameters["base"] + epoch, path=float(trial.data_path == "s3://bucket/mine"))
        """,
        tmp_path,
    )
    trainer = Trainer(task="mine:train", epochs=2, parameters={"base": 10}, dataset=Dataset(path="s3://bucket/mine"))
    task.prepare(trainer, seed=0, cache=tmp_path)
    task.warm_up()
    reported = []
    task.run(trial_of(trainer, tmp_path, seed=3), lambda step, **metrics: reported.append((step, metrics)))
    assert reported == [(0, {"score": 10, "path": 1}), (1, {"score": 11, "path": 1})]
    assert task.data_shape is None


def test_a_module_in_pythonpath_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code" / "package").mkdir(parents=True)
    (tmp_path / "code" / "package" / "module.py").write_text("def train(trial, report): report(1, score=1)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    sys.path.insert(0, str(tmp_path / "code"))  # as the interpreter does when it starts
    assert isinstance(load_task(Trainer(task="package.module:train")), UserTask)


def test_all_random_numbers_depend_on_the_seed_of_the_trial(tmp_path: Path) -> None:
    def draw(trial: Trial, report: object) -> None:
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
        report(1, score=0.0)  # type: ignore[operator]

    drawn: list[tuple[float, float, float]] = []
    for seed in (1, 1, 2, 2**64 - 1):
        UserTask(draw).run(trial_of(Trainer(), tmp_path, seed), lambda step, **metrics: None)
    assert drawn[0] == drawn[1]
    assert all(one != other for one, other in zip(drawn[1], drawn[2], strict=True))


@pytest.mark.parametrize(
    ("source", "task", "message"),
    [
        (
            "",
            "missing:train",
            r"there is no module 'missing' in the working directory .*, in PYTHONPATH, which is empty",
        ),
        ("", "missing.deep:train", r"there is no module 'missing' in the working directory"),
        ("import not_installed", "mine:train", r"module 'mine' needs 'not_installed', which is not installed"),
        ("1 / 0", "mine:train", r"importing 'mine' raised ZeroDivisionError: division by zero"),
        ("def (", "mine:train", r"importing 'mine' raised SyntaxError"),
        ("import sys; sys.exit(3)", "mine:train", r"importing 'mine' raised SystemExit: 3"),
        ("def other(): pass", "mine:train", r"mine.py has no function 'train'; it has other"),
        ("", "mine:train", r"mine.py has no function 'train'; it has none"),
        ("train = 5", "mine:train", r"'train' in .*mine.py is not callable, but 5"),
    ],
)
def test_a_function_that_cannot_be_imported_is_an_error_in_words(
    source: str, task: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(TaskError, match=message):
        load(source, tmp_path, task)


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        ("raise ValueError('no luck')", FailureReason.TASK_RAISED, "ValueError: no luck"),
        ("raise KeyError", FailureReason.TASK_RAISED, "KeyError"),
        ("report(1, score=float('nan'))", FailureReason.NON_FINITE_METRIC, "score is nan at step 1"),
        ("report(4, score=float('-inf'))", FailureReason.NON_FINITE_METRIC, "score is -inf at step 4"),
        ("report(1, score='high')", FailureReason.TASK_RAISED, "TypeError: report(): score is 'high' (str): give one"),
        ("report(1, score=None)", FailureReason.TASK_RAISED, "score is None (NoneType): give one number"),
        ("import torch; report(1, score=torch.ones(2))", FailureReason.TASK_RAISED, "score is tensor([1., 1.])"),
        ("report(0.5, score=1)", FailureReason.TASK_RAISED, "step is 0.5: give a whole number"),
        ("report('one', score=1)", FailureReason.TASK_RAISED, "step is 'one': give a whole number"),
        ("report(2**63, score=1)", FailureReason.TASK_RAISED, "does not fit into 64 bits"),
        ("report(1, score=10**400)", FailureReason.TASK_RAISED, "score is 1000"),
        ("report(1, **{'x' * 254: 1})", FailureReason.TASK_RAISED, "is longer than 253 characters"),
        ("report(1, **{str(i): 1 for i in range(101)})", FailureReason.TASK_RAISED, "101 metrics: 100 are the most"),
        ("pass", FailureReason.NO_METRIC, "the task returned without having reported a metric"),
        ("report(1)", FailureReason.NO_METRIC, "the task returned without having reported a metric"),
        ("raise MemoryError", FailureReason.OUT_OF_MEMORY, "no more memory could be allocated"),
        ("import torch; torch.empty(2**50)", FailureReason.OUT_OF_MEMORY, "DefaultCPUAllocator"),
        ("import numpy; numpy.zeros(2**50)", FailureReason.OUT_OF_MEMORY, "Unable to allocate"),
        (
            "import torch; raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')",
            FailureReason.OUT_OF_MEMORY,
            "CUDA out of memory. Tried to allocate 2 GiB",
        ),
    ],
)
def test_what_goes_wrong_in_the_function_is_a_failure_with_a_reason(
    body: str, reason: FailureReason, message: str, tmp_path: Path
) -> None:
    task = load(f"def train(trial, report):\n    {body}\n", tmp_path)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is told below
        task.run(trial_of(Trainer(), tmp_path), lambda step, **metrics: None)
    failure = TrialFailure.of(caught.value)
    assert failure.reason is reason
    assert message in failure.message


def test_a_request_to_stop_passes_an_except_clause_of_the_function(tmp_path: Path) -> None:
    task = load(
        """
        def train(trial, report):
            for step in range(100):
                try:
                    report(step, score=1)
                except Exception:
                    pass
        """,
        tmp_path,
    )
    steps = []

    def report(step: int, **metrics: float) -> None:
        steps.append(step)
        raise StopTrial

    with pytest.raises(StopTrial):
        task.run(trial_of(Trainer(), tmp_path), report)
    assert steps == [0]


def test_what_was_chosen_is_found_by_name(tmp_path: Path) -> None:
    choices = {"width": 64, "layers.0.heads": 2, "layers.1.heads": 4}
    architecture = Discrete(decisions=tuple(Decision(name=name, value=value) for name, value in choices.items()))
    trial = trial_of(Trainer(), tmp_path, architecture=architecture)
    assert trial.chosen == {"width": 64, "layers": [{"heads": 2}, {"heads": 4}]}
    assert trial.chosen["layers"][1]["heads"] == 4


def test_nothing_is_chosen_by_name_in_a_search_of_another_type(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"trial.chosen is for searches of type Discrete, and this is a ConvNet"):
        _ = trial_of(Trainer(), tmp_path).chosen


CHOSEN = (
    ("patch", 4), ("width", 32), ("norm", "first"), ("depth", 2),
    ("layers.0.heads", 4), ("layers.0.ratio", 1), ("layers.0.activation", "relu"),
    ("layers.1.heads", 1), ("layers.1.ratio", 4), ("layers.1.activation", "silu"),
    ("head", "mlp"), ("headWidth", 64),
)  # fmt: skip
TRANSFORMER = Discrete(decisions=tuple(Decision(name=name, value=value) for name, value in CHOSEN))


@pytest.mark.parametrize(
    ("example", "architecture", "goal"),
    [("own_task", small_network(), lambda error: error < 0.1), ("transformer", TRANSFORMER, lambda right: right > 0.8)],
    ids=["own_task", "transformer"],
)
def test_an_example_trains_what_its_manifest_says(
    example: str,
    architecture: Architecture,
    goal: Callable[[float], bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(EXAMPLES / example)
    search = load_manifest(EXAMPLES / example / "search.yaml")
    trainer = search.spec.trainer
    task = load_task(trainer)
    task.prepare(trainer, seed=search.spec.seed, cache=tmp_path)
    reported: list[dict[str, float]] = []
    trial = trial_of(trainer, tmp_path, architecture=architecture)
    task.run(trial, lambda step, **metrics: reported.append(metrics))
    assert len(reported) == trainer.epochs
    assert goal(reported[-1][search.spec.reward.metric])


def test_the_transformer_that_is_trained_here_is_in_the_space_of_the_example() -> None:
    space = build_space(load_manifest(EXAMPLES / "transformer" / "search.yaml").spec.search_space)
    assert space.decode(space.encode(TRANSFORMER), depth=1) == TRANSFORMER
