"""The workers of a local run: one for each GPU, or for each CPU core, shared out over the pools of the manifest."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas_api.spec import Pool

from nas_cli.failure import BadInput

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one worker runs."""

    worker: str  # its id, the same at each start
    pool: str
    device: str  # `cpu` or `cuda:N`


def place_workers(pools: Sequence[Pool], device: str, workers: int | None) -> list[Placement]:
    """The workers of a run.

    Args:
        pools: of the manifest. Their replicas say in which proportion the workers are shared out.
        device: `auto`, `cpu` or `cuda`.
        workers: how many; None: one for each GPU, or for each CPU core.

    Raises:
        BadInput: a GPU is asked for and there is none.
    """
    gpus = 0 if device == "cpu" else count_gpus()
    if device == "cuda" and gpus == 0:
        raise BadInput("--device cuda: PyTorch sees no GPU here. See `nvidia-smi`, or use --device cpu")
    count = workers or gpus or count_cores()
    names = [name for name, share in _shares(pools, count).items() for _ in range(share)]
    slots: dict[str, int] = {}
    placements = []
    for index, pool in enumerate(names):
        slots[pool] = slots.get(pool, -1) + 1
        placements.append(Placement(f"{pool}-{slots[pool]}", pool, f"cuda:{index % gpus}" if gpus else "cpu"))
    return placements


def _shares(pools: Sequence[Pool], count: int) -> dict[str, int]:
    """`count` workers in the proportion of the pools' replicas, by the largest remainders."""
    total = sum(pool.replicas for pool in pools)
    if total == 0:
        return {pools[0].name: count}
    exact = {pool.name: count * pool.replicas / total for pool in pools}
    shares = {name: math.floor(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_remainder[: count - sum(shares.values())]:
        shares[name] += 1
    return shares


def count_cores() -> int:
    """CPU cores that this process may use, as its affinity and its control group say."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def count_gpus() -> int:
    """GPUs that PyTorch can use. Without a driver it is not asked, for it takes seconds to import."""
    if not (shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists()):
        return 0
    asked = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"],
        capture_output=True,
        text=True,
        check=False,
    )
    return int(asked.stdout) if asked.returncode == 0 else 0
