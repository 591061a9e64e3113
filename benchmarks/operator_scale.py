"""How the operator bears a thousand GPUs: 125 simulated nodes of 8, one search that wants hundreds of workers.

A real control plane without root, kwok's nodes, and the operator as a process, with its default settings and the rights
that the chart gives it. Its requests are counted by the API server, those of its watches included.

    python -m benchmarks.operator_scale
    python -m benchmarks.operator_scale --slots 800 1000 -o json
"""

import argparse
import json
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster
from tests.cluster.lifecycle import temporary_control_plane
from tests.control_plane.custom_resources import install_crds
from tests.control_plane.operator_process import ACCOUNT, OperatorProcess
from tests.control_plane.request_counts import WRITES, RequestCounts
from tests.control_plane.searches import Namespace, digits

NODES, GPUS = 125, 8
# The operator's defaults, where tests have others.
DEFAULTS = {"poll_seconds": "5", "resync_seconds": "60", "log_level": "DEBUG"}
# Seconds for which requests are counted when nothing happens any more.
IDLE = 60.0

Result = dict[str, Any]


def measure(cluster: Cluster, slots: int, directory: Path, idle_seconds: float = IDLE) -> Result:
    """One search of `slots` workers, from its apply until the operator is started anew with all of them there.

    Args:
        cluster: a control plane with simulated nodes.
        slots: workers.
        directory: for the operator's log.
        idle_seconds: for how long requests are counted when nothing happens any more.
    """
    name = f"scale-{slots}"
    cluster.kubectl("create", "namespace", name)
    space = Namespace(cluster, name)
    space.add_volume()
    operator = OperatorProcess(cluster, name, directory, settings=DEFAULTS)
    requests = RequestCounts(cluster, name, ACCOUNT)
    try:
        operator.start()
        before, cpu, began = requests(), _cpu_seconds(operator), time.time()
        space.apply(digits(replicas=slots))
        cluster.wait_for(lambda: len(_names(space, "jobs")) >= slots, f"{slots} Jobs", timeout=600)
        cluster.wait_for(lambda: len(_running(space)) >= slots, f"{slots} running pods", timeout=600)
        jobs = space.made("jobs").values()
        pods = space.made("pods").values()
        created = max(_time(job["metadata"]["creationTimestamp"]) for job in jobs) - began
        scheduled = max(_time(pod["status"]["startTime"]) for pod in pods) - began
        _wait_until_idle(operator)
        settled = time.time() - began
        growing = {verb: count - before[verb] for verb, count in requests().items()}
        busy_cpu = _cpu_seconds(operator) - cpu

        # The controller is simulated like its node. That it does not answer is told half a minute after it began, which
        # would be during the restart on a machine that is fast. On one that is slow it is told before all workers are
        # there, of which the Job controller has yet to hear. And numbers alone are told some seconds later.
        cluster.wait_for(space.all_is_told, "word of the workers and of the controller", timeout=300)
        _wait_until_idle(operator)
        idle_before, idle_cpu = requests(), _cpu_seconds(operator)
        time.sleep(idle_seconds)
        idle = {verb: count - idle_before[verb] for verb, count in requests().items()}
        result = {
            "slots": slots,
            "nodes": NODES,
            "all_jobs_created_s": round(created, 1),
            "all_pods_running_s": round(scheduled, 1),
            "nothing_to_do_s": round(settled, 1),
            "operator_cpu_s": round(busy_cpu, 1),
            "operator_rss_mib": _mib(operator, "VmRSS"),
            "operator_peak_rss_mib": _mib(operator, "VmHWM"),
            "requests": {verb: count for verb, count in growing.items() if count},
            "requests_per_s": {verb: round(count / settled, 2) for verb, count in growing.items() if count},
            "idle_requests_per_s": {verb: round(count / idle_seconds, 2) for verb, count in idle.items() if count},
            "idle_cpu_percent": round(100 * (_cpu_seconds(operator) - idle_cpu) / idle_seconds, 1),
        }
        return result | _restart(operator, requests)
    finally:
        operator.kill()
        cluster.kubectl("delete", "namespace", name, timeout=600)


def _restart(operator: OperatorProcess, requests: RequestCounts) -> Result:
    before = requests()
    began = time.time()
    operator.stop()
    stopped = time.time()
    operator.start()
    ready = time.time()
    _wait_until_idle(operator)
    after = requests()
    return {
        "stop_s": round(stopped - began, 1),
        "restart_ready_s": round(ready - stopped, 1),
        "restart_nothing_to_do_s": round(time.time() - stopped, 1),
        "restart_writes": sum(after[verb] - before[verb] for verb in WRITES),
        "restart_requests": {verb: after[verb] - before[verb] for verb in after if after[verb] > before[verb]},
        "restart_peak_rss_mib": _mib(operator, "VmHWM"),
    }


def _names(space: Namespace, kind: str) -> list[str]:
    return space.kubectl("get", kind, "-o", "name").split()


def _running(space: Namespace) -> list[str]:
    lines = space.kubectl("get", "pods", "-l", "app.kubernetes.io/component=worker", "--no-headers").splitlines()
    return [line for line in lines if " Running " in line]


def _wait_until_idle(operator: OperatorProcess) -> None:
    begin = len(operator.log.read_text())

    def idle() -> bool:
        rounds = [line for line in operator.log.read_text()[begin:].splitlines() if "nas_operator.plan_run" in line]
        return bool(rounds) and rounds[-1].endswith("nothing to do")

    operator.cluster.wait_for(idle, "nothing to do", timeout=300)


def _time(text: str) -> float:
    """Seconds since the epoch. Kubernetes cuts times to the second: on average they are half a second early."""
    return datetime.fromisoformat(text).timestamp() + 0.5


def _cpu_seconds(operator: OperatorProcess) -> float:
    assert operator.process is not None
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _mib(operator: OperatorProcess, field: str) -> int:
    assert operator.process is not None
    for line in Path(f"/proc/{operator.process.pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) // 1024
    raise RuntimeError(f"/proc says nothing of {field}")


def _table(results: list[Result]) -> str:
    lines = []
    for name in results[0]:
        values = [result[name] for result in results]
        texts = [
            ", ".join(f"{key} {number}" for key, number in value.items()) if isinstance(value, dict) else str(value)
            for value in values
        ]
        lines.append(f"{name:26}" + "  ".join(f"{text:>40}" for text in texts))
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, nargs="+", default=[800], metavar="N", help="workers (default: 800)")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table", help="(default: %(default)s)")
    options = parser.parse_args()
    results = []
    with temporary_control_plane() as cluster, tempfile.TemporaryDirectory() as directory:
        install_crds(cluster)
        cluster.add_gpu_nodes(NODES, GPUS)
        for slots in options.slots:
            where = Path(directory) / str(slots)
            where.mkdir()
            results.append(measure(cluster, slots, where))
    print(json.dumps(results, indent=2) if options.output == "json" else _table(results))


if __name__ == "__main__":
    main()
