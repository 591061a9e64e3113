"""Does proposing and learning become slower as a search goes on? CPU time of ask and tell, late against early.

For each algorithm two searches go side by side, one that has 100 finished trials behind it and one that has 10,000, and
take turns, so that whatever the machine does besides happens to both. Ask is sampling, as a share of what its batch
takes, and the lease; tell is the result and the share of the update. Both go through the engine, with a journal in
memory. The space is 20 decisions of 5 choices, the reward the share of decisions that are 0. Prints JSON.

    python benchmarks/ask_tell.py --algorithms REINFORCE PPO RegularizedEvolution LocalSearch
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace

import torch
from nas_api.architectures import Discrete, parse_architecture
from nas_controller.engine import Engine
from nas_controller.jobs import LearnJob
from nas_controller.journal.journal import TrialState
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.local_job_runner import LocalJobRunner
from nas_controller.trial_result import TrialResult
from tabular_benchmark.contestants import Contestant, ContestantError, build_manifest, parse_contestant

_CHOICES = {f"decision_{index}": tuple(range(5)) for index in range(20)}


class Search:
    """A search by one worker that counts the CPU time of this thread."""

    def __init__(self, contestant: Contestant, seed: int) -> None:
        # A policy that has settled would propose what needs no training, so that there would be no ask to measure.
        contestant = replace(contestant, overrides=("spec.controller.duplicates=Train", *contestant.overrides))
        manifest = build_manifest(contestant, _CHOICES, seed=seed)
        self.journal = SqliteJournal(":memory:", manifest.full_name)
        self._runner = LocalJobRunner(manifest.spec)
        self._engine = Engine(manifest, self.journal, self._runner)
        self.ask_seconds = 0.0
        self.tell_seconds = 0.0

    def advance(self, trials: int) -> None:
        """Goes on for so many trials."""
        for _ in range(trials):
            self._do_jobs(wanted=1)
            began = time.thread_time()
            granted = self._engine.grant("worker", None)
            assert granted is not None
            self.ask_seconds += time.thread_time() - began
            lease, trial, _ = granted
            architecture = parse_architecture(trial.architecture)
            assert isinstance(architecture, Discrete)
            reward = sum(decision.value == 0 for decision in architecture.decisions) / len(_CHOICES)
            began = time.thread_time()
            self._engine.complete(lease, TrialResult(TrialState.SUCCEEDED, reward=reward))
            self.tell_seconds += time.thread_time() - began
            self._do_jobs(wanted=0)

    def _do_jobs(self, wanted: int) -> None:
        began = time.thread_time()
        while job := self._engine.next_job(wanted):
            self._engine.absorb(self._runner.run(job))
            took = time.thread_time() - began
            if isinstance(job, LearnJob):
                self.tell_seconds += took
            else:
                self.ask_seconds += took
            began = time.thread_time()


def measure(contestant: Contestant, options: argparse.Namespace) -> dict[str, object]:
    """Milliseconds a trial early and late in a search, medians over rounds, and their ratio."""
    searches = {"early": Search(contestant, 0), "late": Search(contestant, 0)}
    searches["early"].advance(options.early)
    searches["late"].advance(options.late)
    took: dict[str, dict[str, list[float]]] = {name: {"ask": [], "tell": []} for name in searches}
    for _ in range(options.rounds):
        for name, search in searches.items():
            search.ask_seconds = search.tell_seconds = 0.0
            search.advance(options.trials)
            took[name]["ask"].append(1000 * search.ask_seconds / options.trials)
            took[name]["tell"].append(1000 * search.tell_seconds / options.trials)
    for search in searches.values():
        search.journal.close()
    result: dict[str, object] = {"label": contestant.label}
    for call in ("ask", "tell"):
        early, late = (statistics.median(took[name][call]) for name in ("early", "late"))
        result[call] = {"early_ms": round(early, 3), "late_ms": round(late, 3), "ratio": round(late / early, 2)}
    return result


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", default=["Random", "REINFORCE"], help="see search_quality.py --help")
    parser.add_argument("--early", type=int, default=100, help="trials behind the early search (default: %(default)s)")
    parser.add_argument("--late", type=int, default=10_000, help="and behind the late one (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=16, help="trials of a measurement (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    try:
        for contestant in [parse_contestant(text) for text in options.algorithms]:
            print(f"{contestant.label} ...", file=sys.stderr)
            results.append(measure(contestant, options))
    except ContestantError as error:
        parser.error(str(error))
    json.dump({"early": options.early, "late": options.late, "algorithms": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
