"""Runs searches in several processes, and keeps each that has ended, so that what was interrupted goes on."""

import ctypes
import hashlib
import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import nas_api
import nas_controller
import numpy as np
import torch
from nas_api.spec import NASSearch
from numpy.typing import NDArray

from tabular_benchmark import simulation
from tabular_benchmark.contestants import Contestant, build_manifest
from tabular_benchmark.simulation import Run, simulate
from tabular_benchmark.table import Table


@dataclass(frozen=True)
class Setting:
    """What all searches have in common."""

    table: Table
    objective: str
    seconds: NDArray[np.float64]  # that the architecture of each row trains
    scale: float  # of the reward
    exponent: float
    workers: int
    job_seconds: float
    evaluations: int
    until: float


class SearchFailedError(Exception):
    """A search came to no end; the message says which, and why."""


class RunCache:
    """Runs of one contestant in one setting, in a file of a line each.

    The name of the file depends on all that a run depends on: table, manifest, workers, and the code that searches. It
    does not depend on how far a run goes: a longer one begins like a shorter one.
    """

    def __init__(self, directory: Path, setting: Setting, contestant: Contestant) -> None:
        manifest = _manifest(setting, contestant, seed=0)
        parts = [
            _code_digest(),
            manifest.spec.model_dump_json().encode(),
            repr((list(setting.table.architectures), setting.workers, setting.job_seconds)).encode(),
            setting.table.columns[setting.objective].tobytes(),
            setting.seconds.tobytes(),
        ]
        self.path = directory / f"{contestant.algorithm}-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}.jsonl"

    def read(self, setting: Setting) -> dict[int, Run]:
        """The runs, by seed, that go as far as `setting` asks for."""
        runs: dict[int, Run] = {}
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        for line in lines:
            try:
                run = Run(**json.loads(line))
            except ValueError:  # written when the last attempt was killed
                continue
            if run.converged or (len(run.rows) >= setting.evaluations and run.seconds >= setting.until):
                runs[run.seed] = run
        return runs

    def add(self, run: Run) -> None:
        """Keeps a run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(f"\n{json.dumps(asdict(run))}\n")  # begins a line of its own whatever stands before it


def run_searches(
    setting: Setting, contestants: Sequence[Contestant], seeds: Sequence[int], *, cache: Path, jobs: int
) -> Iterator[tuple[Contestant, Run]]:
    """Every search, as they end: first those that the cache has.

    Args:
        setting: what they have in common.
        contestants: the algorithms.
        seeds: of the searches of each algorithm.
        cache: directory of what has been run.
        jobs: processes.

    Raises:
        SearchFailedError: a search failed. The others up to then are kept.
        ContestantError: a setting of an algorithm is not valid.
    """
    caches = {contestant: RunCache(cache, setting, contestant) for contestant in contestants}
    todo = []
    for contestant in contestants:
        known = caches[contestant].read(setting)
        yield from ((contestant, known[seed]) for seed in seeds if seed in known)
        todo += [(seed, contestant) for seed in seeds if seed not in known]
    # All algorithms come on together, so that the first seeds of all can be looked at early.
    todo.sort(key=lambda each: each[0])
    if not todo:
        return
    with ProcessPoolExecutor(min(jobs, len(todo)), initializer=_begin, initargs=(setting,)) as processes:
        running: Mapping[Future[Run], tuple[int, Contestant]] = {
            processes.submit(_search, contestant, seed): (seed, contestant) for seed, contestant in todo
        }
        try:
            for done in as_completed(running):
                seed, contestant = running[done]
                error = done.exception()
                if error is not None:
                    raise SearchFailedError(f"{contestant.label}, seed {seed}: {error}") from error
                caches[contestant].add(done.result())
                yield contestant, done.result()
        finally:
            processes.shutdown(wait=False, cancel_futures=True)


_PR_SET_PDEATHSIG = 1
_setting: Setting  # of this process


def _begin(setting: Setting) -> None:
    global _setting  # sent once to each process, not with every search
    _setting = setting
    torch.set_num_threads(1)
    # The parent ends it: at once if it dies itself, whatever kills it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _search(contestant: Contestant, seed: int) -> Run:
    return simulate(
        _manifest(_setting, contestant, seed),
        _setting.table,
        _setting.objective,
        _setting.seconds,
        evaluations=_setting.evaluations,
        workers=_setting.workers,
        until=_setting.until,
        job_seconds=_setting.job_seconds,
    )


def _manifest(setting: Setting, contestant: Contestant, seed: int) -> NASSearch:
    return build_manifest(
        contestant,
        setting.table.choices,
        seed=seed,
        scale=setting.scale,
        exponent=setting.exponent,
        failed=_reward_of_failed(setting),
    )


def _reward_of_failed(setting: Setting) -> float:
    """Of a trial whose architecture the table has no objective of: no more than that of any other."""
    with np.errstate(all="ignore"):
        rewards = setting.scale * setting.table.columns[setting.objective] ** setting.exponent
    worst = rewards[np.isfinite(rewards)].min(initial=0.0 if setting.scale > 0 else -1.0)
    return max(float(worst), -1e9)


def _code_digest() -> bytes:
    """Changes with the code that a run depends on."""
    digest = hashlib.sha256(Path(simulation.__file__).read_bytes())
    for package in (nas_api, nas_controller):
        (folder,) = package.__path__
        for file in sorted(Path(folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.digest()
