"""A thousand GPUs: 125 simulated nodes of 8. `benchmarks/operator_scale.py` measures the same at leisure."""

import json
from pathlib import Path

import pytest

from benchmarks.operator_scale import GPUS, NODES, measure
from tests.cluster.cluster import Cluster
from tests.control_plane.custom_resources import install_crds


def test_eight_hundred_workers_run_and_an_operator_that_starts_anew_writes_nothing(
    control_plane: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_crds(control_plane)
    nodes = control_plane.add_gpu_nodes(NODES, GPUS)
    try:
        figures = measure(control_plane, 800, tmp_path, idle_seconds=5)
    finally:
        control_plane.remove_nodes(nodes)
    with capsys.disabled():
        print(f"\n800 workers: {json.dumps(figures)}")
    assert figures["requests"]["create"] >= 800
    assert figures["restart_writes"] == 0
