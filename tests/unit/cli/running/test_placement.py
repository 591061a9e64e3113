"""Workers are shared out over the pools of the manifest, and over the GPUs of the machine."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_api.spec import Pool
from nas_cli.failure import BadInput
from nas_cli.running import placement
from nas_cli.running.placement import place_workers


def pools(*replicas: int) -> list[Pool]:
    return [Pool(name=f"pool{index}", replicas=count) for index, count in enumerate(replicas)]


def test_on_the_cpu_there_is_a_worker_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "count_cores", lambda: 3)
    placed = place_workers(pools(1), "cpu", None)
    assert [(p.worker, p.pool, p.device) for p in placed] == [
        ("pool0-0", "pool0", "cpu"), ("pool0-1", "pool0", "cpu"), ("pool0-2", "pool0", "cpu"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("gpus", "workers", "devices"),
    [(2, None, ["cuda:0", "cuda:1"]), (2, 3, ["cuda:0", "cuda:1", "cuda:0"]), (0, 2, ["cpu", "cpu"])],
)
def test_auto_takes_every_gpu(
    monkeypatch: pytest.MonkeyPatch, gpus: int, workers: int | None, devices: list[str]
) -> None:
    monkeypatch.setattr(placement, "count_gpus", lambda: gpus)
    assert [p.device for p in place_workers(pools(1), "auto", workers)] == devices


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "count_gpus", lambda: 0)
    with pytest.raises(BadInput, match="PyTorch sees no GPU"):
        place_workers(pools(1), "cuda", None)


@pytest.mark.parametrize(
    ("replicas", "workers", "shares"),
    [
        ((5,), 2, {"pool0": 2}),
        ((1, 1), 2, {"pool0": 1, "pool1": 1}),
        ((3, 1), 4, {"pool0": 3, "pool1": 1}),
        ((10, 0, 10), 4, {"pool0": 2, "pool2": 2}),
        ((0, 0), 2, {"pool0": 2}),
    ],
)
def test_pools_get_workers_by_their_replicas(replicas: tuple[int, ...], workers: int, shares: dict[str, int]) -> None:
    placed = place_workers(pools(*replicas), "cpu", workers)
    assert Counter(p.pool for p in placed) == shares


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 40))
def test_every_worker_has_a_place_and_a_name_of_its_own(replicas: list[int], workers: int) -> None:
    placed = place_workers(pools(*replicas), "cpu", workers)
    assert len(placed) == workers
    assert len({p.worker for p in placed}) == workers
    counts = Counter(p.pool for p in placed)
    for index, wanted in enumerate(replicas):
        if sum(replicas):
            assert abs(counts[f"pool{index}"] - workers * wanted / sum(replicas)) < 1
