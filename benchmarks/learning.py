"""Does the policy learn? REINFORCE against random search on a reward whose optimum is known.

The reward is the cube of the share of decisions that agree with one wanted network: 3x3 filters everywhere and a given
pattern of skip connections. The settings are the paper's unless options say otherwise. Prints JSON.

    python benchmarks/learning.py
    python benchmarks/learning.py --trials 1600 --learning-rate 0.01 --entropy-weight 0.2 --seeds 5
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from nas_api import spec
from nas_api.architectures import ConvNet, Convolution
from nas_controller.algorithms import build_algorithm
from nas_controller.learner import Learner
from nas_controller.proposal import Rewarded
from nas_controller.spaces import ConvNetSpace

# Whether layer i should take layer j.
PATTERNS: dict[str, Callable[[int, int], bool]] = {
    "first": lambda j, _: j == 0,
    "previous": lambda j, i: j == i - 1,
    "all": lambda *_: True,
}


def agreement(network: ConvNet, pattern: Callable[[int, int], bool]) -> float:
    """The share of decisions, each possible skip connection being one, that are as in the wanted network."""
    wanted, decisions = 0, 0
    for index, layer in enumerate(network.layers):
        assert isinstance(layer.operation, Convolution)
        wanted += (layer.operation.filter_height == 3) + (layer.operation.filter_width == 3)
        wanted += sum((earlier in layer.inputs) == pattern(earlier, index) for earlier in range(index))
        decisions += 2 + index
    return wanted / decisions


def search(algorithm: str, seed: int, options: argparse.Namespace) -> list[float]:
    """The agreement of each architecture of one search, in order."""
    depth = spec.DepthSchedule(initial=options.depth, max=options.depth)
    space = ConvNetSpace(spec.ConvNetSpace(layers=depth))
    reinforce = spec.Reinforce(learning_rate=options.learning_rate, entropy_weight=options.entropy_weight)
    controller = spec.Controller(algorithm=spec.Algorithm(type=algorithm, reinforce=reinforce))
    size = controller.batch_size
    learner = Learner(build_algorithm(controller, space, seed), seed)
    agreements: list[float] = []
    for number in range(options.trials // size):
        batch = learner.sample(number, size, options.depth)
        networks = [space.decode(proposal.decisions, proposal.depth) for proposal in batch.proposals]
        values = [agreement(n, PATTERNS[options.pattern]) for n in networks if isinstance(n, ConvNet)]
        rewarded = [Rewarded(proposal, value**3) for proposal, value in zip(batch.proposals, values, strict=True)]
        learner.learn(number, batch.version, rewarded)
        agreements += values
    return agreements


def summarize(runs: list[list[float]], seconds: float) -> dict[str, object]:
    """What the searches of one algorithm came to."""
    last = [statistics.fmean(run[-100:]) for run in runs]
    return {
        "found_optimum": sum(max(run) == 1 for run in runs),
        "best": {"mean": statistics.fmean(map(max, runs)), "min": min(map(max, runs))},
        "top_15_mean": statistics.fmean(statistics.fmean(sorted(run)[-15:]) for run in runs),
        "last_100_mean": {"mean": statistics.fmean(last), "min": min(last), "max": max(last)},
        "ms_per_trial": 1000 * seconds / sum(map(len, runs)),
    }


def main() -> None:
    """Runs the searches and prints what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12_800, help="architectures of a search (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each algorithm (default: %(default)s)")
    parser.add_argument("--depth", type=int, default=6, help="layers of a network (default: %(default)s)")
    parser.add_argument("--pattern", choices=PATTERNS, default="first", help="layers to take (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=0.0006, help="(default: %(default)s)")
    parser.add_argument("--entropy-weight", type=float, default=0.0, help="(default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, object] = {"settings": vars(options)}
    for algorithm in ("REINFORCE", "Random"):
        start = time.perf_counter()
        runs = []
        for seed in range(options.seeds):
            runs.append(search(algorithm, seed, options))
            print(f"{algorithm}: search {seed + 1} of {options.seeds}, best {max(runs[-1]):.3f}", file=sys.stderr)
        results[algorithm] = summarize(runs, time.perf_counter() - start)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
