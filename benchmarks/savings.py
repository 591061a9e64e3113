r"""What do duplicates, early stopping and cheaper first trainings save, and what do they cost? On real trainings.

All 512 networks of three layers with 4 or 8 filters of height and width 1 or 3 are trained on the digits: once in full,
and once for a third of the epochs with a schedule of their own (for `lowFidelity`). That takes minutes, and is kept in
--curves. Then searches of these networks, one trial at a time, meet the curves in the place of trainings. Their seconds
are those of CPU time that the trainings took.

The target is the first fully trained network among the best 2 % of all. A search that never finds one counts with all
its seconds. Ratios are to the first of the --algorithms, which trains everything. Prints JSON.

    python benchmarks/savings.py
    python benchmarks/savings.py --seeds 20 --algorithms all=PPO:duplicates=Train replayed=PPO
"""

import argparse
import itertools
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nas_api.architectures import ConvNet, Convolution, Layer, parse_architecture
from nas_child.task import Trial
from nas_child.tasks.image_classification import ImageClassification
from nas_controller.engine import Engine
from nas_controller.journal.journal import Measurement, TrialState
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.leases import Lease, is_of_first_training
from nas_controller.local_job_runner import LocalJobRunner
from nas_controller.reward import compute_reward
from nas_controller.trial_result import TrialResult
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from tabular_benchmark.contestants import Contestant, ContestantError, manifest_of, parse_contestant
from tabular_benchmark.statistics import Mean

_SIZES, _FILTERS, _LAYERS = (1, 3), (4, 8), 3
_EPOCHS, _FIRST_EPOCHS = 12, 4
_SPEC: dict[str, Any] = {
    "searchSpace": {
        "type": "ConvNet",
        "convNet": {
            "layers": {"initial": _LAYERS, "increment": 0, "max": _LAYERS},
            "filterHeights": _SIZES,
            "filterWidths": _SIZES,
            "filters": _FILTERS,
            "skipConnections": False,
        },
    },
    "trainer": {"dataset": {"path": "digits"}, "epochs": _EPOCHS, "batchSize": 32, "optimizer": {"learningRate": 0.05}},
    "budget": {"maxTrials": "unlimited"},
}
_RULE = "controller.earlyStopping"
_ALGORITHMS = (
    "everything trained=Random:duplicates=Train",
    "duplicates replayed=Random",
    f"Median from epoch 1=Random:{_RULE}.type=Median,{_RULE}.median.warmupSteps=1",
    f"Median=Random:{_RULE}.type=Median",
    f"ASHA from epoch 1=Random:{_RULE}.type=ASHA,{_RULE}.asha.minSteps=1",
    f"ASHA=Random:{_RULE}.type=ASHA",
    f"CurveExtrapolation=Random:{_RULE}.type=CurveExtrapolation",
    f"lowFidelity=Random:controller.lowFidelity.epochs={_FIRST_EPOCHS}",
)


@dataclass(frozen=True, slots=True)
class Curve:
    """What a training measured after each epoch, and the seconds of CPU time until then."""

    accuracies: list[float]
    seconds: list[float]

    def measurements(self) -> tuple[Measurement, ...]:
        """As a worker reports them."""
        epochs = enumerate(zip(self.accuracies, self.seconds, strict=True), 1)
        return tuple(Measurement(epoch, {"val_accuracy": accuracy}, seconds) for epoch, (accuracy, seconds) in epochs)


@dataclass(frozen=True, slots=True)
class Network:
    """The trainings of a network: in full, and for a few epochs."""

    full: Curve
    first: Curve


@dataclass(frozen=True, slots=True)
class Course:
    """What a search did.

    Attributes:
        seconds: of training, in all.
        to_target: of training, until the target was reached, or in all.
        reached: whether it was.
        best: reward of a full training.
    """

    seconds: float
    to_target: float
    reached: bool
    best: float


# The trainings. -------------------------------------------------------------------------------------------------------


def every_network() -> list[ConvNet]:
    """The search space."""
    operations = [
        Convolution(filter_height=height, filter_width=width, filters=filters)
        for height, width, filters in itertools.product(_SIZES, _SIZES, _FILTERS)
    ]
    return [
        ConvNet(layers=tuple(Layer(operation=each, inputs=(at - 1,) if at else ()) for at, each in enumerate(chosen)))
        for chosen in itertools.product(operations, repeat=_LAYERS)
    ]


def trained(networks: Sequence[ConvNet], jobs: int) -> dict[str, Network]:
    """Trains them. By digest."""
    with ProcessPoolExecutor(jobs, initializer=_warm_up) as pool:
        found = track(
            pool.map(_train, networks), "Training", total=len(networks), console=Console(stderr=True), transient=True
        )
        return {network.digest: curves for network, curves in zip(networks, found, strict=True)}


def _warm_up() -> None:
    """The first training of a process takes seconds more than its second."""
    torch.set_num_threads(1)
    _curve(every_network()[0], 1)


def _train(network: ConvNet) -> Network:
    return Network(_curve(network, _EPOCHS), _curve(network, _FIRST_EPOCHS))


def _curve(network: ConvNet, epochs: int) -> Curve:
    manifest = manifest_of(parse_contestant("Random"), {**_SPEC, "trainer": {**_SPEC["trainer"], "epochs": epochs}})
    curve = Curve([], [])

    def report(step: int, **metrics: float) -> None:
        assert step == len(curve.seconds) + 1, "it reports every epoch"
        curve.accuracies.append(metrics["val_accuracy"])
        curve.seconds.append(time.process_time() - began)

    with tempfile.TemporaryDirectory() as directory:
        task = ImageClassification()
        task.prepare(manifest.spec.trainer, manifest.spec.seed, Path(directory))
        trial = Trial(network, 0, manifest.spec.trainer, torch.device("cpu"), Path(directory))
        began = time.process_time()
        task.run(trial, report)
    return curve


def read_curves(file: Path) -> dict[str, Network]:
    """What `write_curves` wrote."""
    return {
        digest: Network(Curve(**curves["full"]), Curve(**curves["first"]))
        for digest, curves in json.loads(file.read_text()).items()
    }


def write_curves(file: Path, networks: dict[str, Network]) -> None:
    """Keeps trainings for the next time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({digest: asdict(network) for digest, network in networks.items()}))


# The searches. --------------------------------------------------------------------------------------------------------


def search(contestant: Contestant, networks: dict[str, Network], target: float, trials: int, seed: int) -> Course:
    """One search. `target` is a reward."""
    torch.set_num_threads(1)
    manifest = manifest_of(contestant, {**_SPEC, "seed": seed, "budget": {"maxTrials": trials}})
    seconds, to_target, best = 0.0, None, 0.0
    with SqliteJournal(":memory:", manifest.full_name) as journal:
        runner = LocalJobRunner(manifest.spec)
        engine = Engine(manifest, journal, runner)
        while not engine.verdict.final:
            while job := engine.next_job(wanted=1):
                engine.absorb(runner.run(job))
            if granted := engine.grant("worker", None):
                lease, trial, _ = granted
                took, reward = _meet(engine, lease, networks[parse_architecture(trial.architecture).digest])
                seconds += took
                best = max(best, reward)
                if to_target is None and best >= target:
                    to_target = seconds
        journal.write().result()  # a record that contradicts another shows here
    return Course(seconds, seconds if to_target is None else to_target, to_target is not None, best)


def _be_quiet() -> None:
    """What a rule spares would be told in every search."""
    logging.getLogger("nas_controller").setLevel(logging.ERROR)


def _meet(engine: Engine, lease: Lease, network: Network) -> tuple[float, float]:
    """A training that was done before. Its seconds, and its reward; 0 if it was not a full one."""
    first = is_of_first_training(lease.token)
    curve = network.first if first else network.full
    measured = curve.measurements()
    for epoch, seconds in enumerate(curve.seconds, 1):
        stops, _ = engine.report(lease, measured[epoch - 1 : epoch])
        if stops and epoch < len(measured):
            engine.complete(lease, TrialResult(TrialState.STOPPED_EARLY, measured[:epoch]))
            return seconds, 0.0
    engine.complete(lease, TrialResult(TrialState.SUCCEEDED, measured))
    return curve.seconds[-1], 0.0 if first else compute_reward(measured, engine.manifest.spec.reward)


def full_rewards(networks: dict[str, Network]) -> NDArray[np.float64]:
    """Of all networks, trained in full, shape [networks]."""
    reward = manifest_of(parse_contestant("Random"), _SPEC).spec.reward
    return np.array([compute_reward(network.full.measurements(), reward) for network in networks.values()])


def measure(contestants: Sequence[Contestant], networks: dict[str, Network], options: argparse.Namespace) -> Any:
    """All that is printed."""
    target = float(np.quantile(full_rewards(networks), 0.98, method="higher"))
    found: dict[str, list[Course]] = {}
    with ProcessPoolExecutor(options.jobs, initializer=_be_quiet) as pool:
        for contestant in contestants:
            one = partial(search, contestant, networks, target, options.trials)
            courses = pool.map(one, range(options.seeds))
            console = Console(stderr=True)
            found[contestant.label] = list(track(courses, contestant.label, total=options.seeds, console=console))
    first = found[contestants[0].label]
    all_seconds, to_target = (Mean.of(np.array(values)).mean for values in _seconds(first))
    return {
        "networks": len(networks),
        "target": target,
        "trials": options.trials,
        "seeds": options.seeds,
        "seconds": all_seconds,
        "seconds_to_target": to_target,
        "algorithms": [
            {
                "label": label,
                "seconds_ratio": asdict(Mean.of(np.array(_seconds(courses)[0]) / all_seconds)),
                "to_target_ratio": asdict(Mean.of(np.array(_seconds(courses)[1]) / to_target)),
                "reached": sum(course.reached for course in courses) / len(courses),
                "best_reward": asdict(Mean.of(np.array([course.best for course in courses]))),
            }
            for label, courses in found.items()
        ],
    }


def _seconds(courses: Sequence[Course]) -> tuple[list[float], list[float]]:
    return [course.seconds for course in courses], [course.to_target for course in courses]


def main() -> None:
    """Trains, searches and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", default=_ALGORITHMS, help="see search_quality.py --help")
    parser.add_argument("--trials", type=int, default=300, help="of a search (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=60, help="searches of each algorithm (default: %(default)s)")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one a core)"
    )
    parser.add_argument(
        "--curves", type=Path, default=Path("runs/savings.json"), metavar="FILE",
        help="where the trainings are kept (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args()
    try:
        contestants = [parse_contestant(text) for text in options.algorithms]
        for contestant in contestants:
            manifest_of(contestant, _SPEC)
        if not options.curves.exists():
            write_curves(options.curves, trained(every_network(), options.jobs))
        print(json.dumps(measure(contestants, read_curves(options.curves), options), indent=2))
    except ContestantError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
