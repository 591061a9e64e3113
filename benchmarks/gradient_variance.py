r"""How much noise does the value head take out of the policy's gradient? Actor-critic beside REINFORCE.

Both search a table (see `search_quality.py`) with the same settings of the optimizer, and the area under the curve of
each is that of its regret: the distance, averaged over the trials, of the best found so far from the best of the table.
Then, at some points of the actor-critic's searches, many batches are sampled from the policy as it stands, and the
gradient of each is estimated twice: with the advantages of the value head, and with those of REINFORCE, the difference
of a reward from the moving average. The noise is the trace of the covariance of the estimates, the signal the squared
norm of their mean; noise / signal says how many batches make one good gradient. Prints JSON.

    python benchmarks/gradient_variance.py --table nasbench201.csv.gz --objective c10_val_12ep --seeds 20
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from nas_api import spec
from nas_controller.algorithms import ActorCritic
from nas_controller.history import History
from nas_controller.proposal import Proposal, Rewarded
from nas_controller.seeding import derived_seed
from nas_controller.spaces import Space, build_space
from tabular_benchmark.table import Table, read_table
from torch import Tensor


class Problem:
    """A table as a space and the reward of its proposals, the objective divided by its largest value."""

    def __init__(self, table: Table, objective: str) -> None:
        """Takes a complete table."""
        table.require(objective)
        choices = [{"name": name, "values": list(values)} for name, values in table.choices.items()]
        discrete = spec.DiscreteSpace.model_validate({"choices": choices})
        self.space: Space = build_space(spec.SearchSpace(type="Discrete", discrete=discrete))
        self._table, self._objective = table, objective
        self._values = list(table.choices.values())
        self.best = float(table.columns[objective].max())

    def objective(self, proposal: Proposal) -> float:
        """What the table says of a proposal."""
        decided = [values[made] for values, made in zip(self._values, proposal.decisions, strict=True)]
        row = self._table.row(decided, self._objective)
        assert row is not None, "the table is complete"
        return float(self._table.columns[self._objective][row])

    def rewarded(self, proposals: Sequence[Proposal]) -> list[Rewarded]:
        """Proposals with their rewards."""
        return [Rewarded(proposal, self.objective(proposal) / self.best) for proposal in proposals]


def search(problem: Problem, algorithm: ActorCritic, seed: int, batches: int, size: int) -> list[float]:
    """Goes on with a search for some batches. Returns the objective of each trial."""
    objectives: list[float] = []
    for number in range(batches):
        proposals = algorithm.propose(size, 1, derived_seed(seed, number))
        algorithm.learn(algorithm.snapshot(), problem.rewarded(proposals))
        objectives += map(problem.objective, proposals)
    return objectives


def regret_area(problem: Problem, objectives: Sequence[float]) -> float:
    """The mean, over the trials, of the distance of the best so far from the best there is."""
    best = [max(objectives[: number + 1]) for number in range(len(objectives))]
    return statistics.fmean(problem.best - value for value in best)


def gradients(
    problem: Problem, searched: ActorCritic, settings: spec.ActorCritic, samples: int, size: int, seed: int
) -> dict[str, Tensor]:
    """Estimates of the policy's gradient where `searched` stands, shape [samples, parameters] for each method."""
    width = spec.Policy().hidden_size + 1  # of the value head, whose parameters come last
    plain = searched.snapshot()
    plain[-width:] = 0  # without a value head it is REINFORCE
    stands = {"ActorCritic": (searched.snapshot(), settings.gae_lambda), "REINFORCE": (plain, 1.0)}
    estimates: dict[str, list[Tensor]] = {method: [] for method in stands}
    for number in range(samples):
        batch = problem.rewarded(searched.propose(size, 1, derived_seed(seed, 1_000_000 + number)))
        for method, (snapshot, gae_lambda) in stands.items():
            quiet = {"value_weight": 0.0, "entropy_weight": 0.0, "max_gradient_norm": 1e9, "gae_lambda": gae_lambda}
            controller = spec.Controller(
                algorithm=spec.Algorithm(actor_critic=settings.model_copy(update=quiet)),
                parallelism=spec.Parallelism(gradients_per_update=2),  # what is handed over is kept, and not applied
            )
            twin = ActorCritic(problem.space, controller, seed)
            twin.restore(snapshot, searched.state(), History())
            twin.learn(snapshot, batch)
            estimates[method].append(twin.state()["gathered"][:-width].double())
    return {method: torch.stack(found) for method, found in estimates.items()}


def noise_and_signal(estimates: Tensor) -> tuple[float, float]:
    """Trace of the covariance of estimates, shape [samples, parameters], and squared norm of the mean, unbiased."""
    noise = float(estimates.var(0).sum())
    return noise, float(estimates.mean(0).square().sum()) - noise / len(estimates)


def measure(problem: Problem, options: argparse.Namespace) -> dict[str, Any]:
    """All that is printed."""
    asked = {"learning_rate": options.learning_rate, "entropy_weight": options.entropy_weight}
    settings = spec.ActorCritic(**{name: value for name, value in asked.items() if value is not None})
    areas: dict[str, list[float]] = {"ActorCritic": [], "REINFORCE": []}
    points: dict[int, dict[str, list[tuple[float, float]]]] = {at: {name: [] for name in areas} for at in options.at}
    for seed in range(options.seeds):
        for method, learned in (("ActorCritic", True), ("REINFORCE", False)):
            # Without a value head, and with lambda 1, actor-critic is REINFORCE: so nothing else differs.
            own = settings if learned else settings.model_copy(update={"value_weight": 0.0, "gae_lambda": 1.0})
            controller = spec.Controller(algorithm=spec.Algorithm(actor_critic=own))
            algorithm = ActorCritic(problem.space, controller, seed)
            objectives: list[float] = []
            for at in sorted({*options.at, options.trials}):
                batches = (at - len(objectives)) // options.batch_size
                objectives += search(problem, algorithm, derived_seed(seed, at), batches, options.batch_size)
                if learned and at in options.at:
                    found = gradients(problem, algorithm, settings, options.samples, options.batch_size, seed)
                    for name, estimates in found.items():
                        points[at][name].append(noise_and_signal(estimates))
            areas[method].append(regret_area(problem, objectives))
        print(f"seed {seed + 1} of {options.seeds}", file=sys.stderr)
    return {
        "settings": settings.model_dump(),
        "regret_area": {
            method: {"mean": statistics.fmean(found), "standard_error": _error(found)}
            for method, found in areas.items()
        },
        "gradient": {
            at: {
                name: {
                    "noise": statistics.fmean(noise for noise, _ in found),
                    "signal": statistics.fmean(signal for _, signal in found),
                }
                for name, found in of_method.items()
            }
            | {
                "noise_ratio": statistics.fmean(
                    ours / theirs
                    for (ours, _), (theirs, _) in zip(of_method["ActorCritic"], of_method["REINFORCE"], strict=True)
                )
            }
            for at, of_method in points.items()
        },
    }


def _error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def main() -> None:
    """Runs the searches and prints what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, metavar="CSV", help="table of training results")
    parser.add_argument("--objective", required=True, metavar="COLUMN", help="column that is searched")
    parser.add_argument("--trials", type=int, default=500, help="architectures of a search (default: %(default)s)")
    parser.add_argument(
        "--at", type=int, nargs="+", default=[80, 160, 240], help="trials after which gradients are estimated"
    )
    parser.add_argument("--samples", type=int, default=200, help="batches sampled there (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="architectures of a batch (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each algorithm (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, help="of both (default: that of ActorCritic)")
    parser.add_argument("--entropy-weight", type=float, help="of both (default: that of ActorCritic)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    problem = Problem(read_table(options.table, [options.objective]), options.objective)
    print(json.dumps(measure(problem, options), indent=2))


if __name__ == "__main__":
    main()
