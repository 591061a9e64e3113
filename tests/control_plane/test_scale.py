"""A thousand GPUs: 125 simulated nodes of 8. `benchmarks/operator_scale.py` measures the same at leisure."""

from collections.abc import Callable
from pathlib import Path

from operator_scale import GPUS, NODES, measure

from tests.cluster.cluster import Cluster


def test_eight_hundred_workers_run_and_an_operator_that_starts_anew_writes_nothing(
    cluster: Cluster, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    nodes = cluster.add_gpu_nodes(NODES, GPUS)
    try:
        figures = measure(cluster, 800, tmp_path, idle_seconds=5)
    finally:
        cluster.remove_nodes(nodes)
    for name, figure in figures.items():
        record_property(name, figure)
    assert figures["requests"]["create"] >= 800
    assert figures["restart_writes"] == 0
