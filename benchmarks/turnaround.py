"""How long a worker is idle between two trials, against what a fresh process for each trial would take.

A real controller process, its learner on, and one warm worker train networks on the built-in digits, over mTLS. The
turnaround is the time from the moment when the task of a trial returns to the first step of an optimizer in the next
one: the result is durable, the next architecture leased, a process forked and the network built by then.

    python benchmarks/turnaround.py
    python benchmarks/turnaround.py --trials 200 --idle-trials 20 -o json
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from nas_api.certificates import CertificateAuthority, Identity
from nas_api.manifest import load_manifest

SEARCH = "default/turnaround"
MANIFEST = """\
apiVersion: kubenas.dev/v1alpha1
kind: NASSearch
metadata: {{name: turnaround}}
spec:
  searchSpace:
    convNet:
      layers: {{initial: 4, increment: 0}}
      filters: [8, 16, 24, 36]
      filterHeights: [1, 3, 5]
      filterWidths: [1, 3, 5]
  trainer: {{epochs: {epochs}, batchSize: 64}}
  budget: {{maxTrials: {trials}}}
"""
Event = dict[str, Any]
# Of the trials that tell how many epochs a long one needs.
_PROBE_EPOCHS = 30


def run_search(directory: Path, trials: int, epochs: int) -> list[Event]:
    """Runs a search with one worker to its end. Returns what the worker logged of each trial."""
    directory.mkdir()
    (directory / "search.yaml").write_text(MANIFEST.format(epochs=epochs, trials=trials))
    authority = CertificateAuthority.create(SEARCH, timedelta(days=1))
    authority.issue(Identity(SEARCH, "controller"), ["localhost"], ["127.0.0.1"]).write(directory / "server")
    authority.issue(Identity(SEARCH, "pool", "default")).write(directory / "worker")
    with _controller(directory) as address:
        command = [sys.executable, "-m", "nas_child", "--manifest", "search.yaml", "--controller", address]
        command += ["--certificates", "worker", "--pool", "default", "--device", "cpu", "--logs", "logs"]
        worker = subprocess.run([*command, "--log-format", "json"], cwd=directory, stderr=subprocess.PIPE, text=True)
    if worker.returncode != 0:
        raise RuntimeError(f"the worker ended with status {worker.returncode}: {worker.stderr}")
    events = [json.loads(line) for line in worker.stderr.splitlines() if line.startswith("{")]
    return [event for event in events if "outcome" in event]


@contextlib.contextmanager
def _controller(directory: Path) -> Iterator[str]:
    """A controller process. Gives its address."""
    command = [sys.executable, "-m", "nas_controller", "--manifest", "search.yaml", "--state", "."]
    command += ["--certificates", "server", "--address-file", "address"]
    with (directory / "controller.log").open("w") as log:
        process = subprocess.Popen(command, cwd=directory, stderr=log)
    try:
        while not (directory / "address").exists():
            if process.poll() is not None:
                raise RuntimeError((directory / "controller.log").read_text())
            time.sleep(0.05)
        yield (directory / "address").read_text()
    finally:
        process.terminate()
        process.wait()


def fresh_process_ms(directory: Path) -> float:
    """Milliseconds from the start of a new process to its first step, imports and loading of the data included."""
    began = time.monotonic()
    command = [sys.executable, __file__, "--first-step-of", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (float(done.stdout) - began) * 1000


def print_time_of_first_step(directory: Path) -> None:
    """In a fresh process: does what a worker that forks nothing does for each trial."""
    import os

    import torch
    from nas_api.architectures import parse_architecture
    from nas_child.task import Trial
    from nas_child.tasks import load_task
    from torch.optim.optimizer import register_optimizer_step_post_hook

    def end(*_: Any) -> None:
        print(time.monotonic(), flush=True)
        os._exit(0)

    torch.set_num_threads(1)
    register_optimizer_step_post_hook(end)
    spec = load_manifest(directory / "search.yaml").spec
    task = load_task(spec.trainer)
    task.prepare(spec.trainer, spec.seed, directory / "cache")
    layer = '{"operation": {"op": "Convolution", "filter_height": 3, "filter_width": 3, "filters": 24}}'
    architecture = parse_architecture(f'{{"type": "ConvNet", "layers": [{", ".join([layer] * 4)}]}}')
    task.run(Trial(architecture, 1, spec.trainer, torch.device("cpu"), directory), lambda *_, **__: None)


def measure(trials: int, idle_trials: int, idle_seconds: float, fresh: int) -> dict[str, float]:
    """Everything that this benchmark measures."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        short = run_search(directory / "short", trials + 1, epochs=1)
        turnarounds = sorted(event["turnaround_ms"] for event in short if "turnaround_ms" in event)
        fresh_ms = [fresh_process_ms(directory / "short") for _ in range(fresh)]
        probe = run_search(directory / "probe", 3, _PROBE_EPOCHS)
        epochs = max(1, round(_PROBE_EPOCHS * idle_seconds / statistics.mean(event["seconds"] for event in probe)))
        long = run_search(directory / "long", idle_trials + 1, epochs)[1:]
    idle = sum(event["turnaround_ms"] / 1000 for event in long)
    training = sum(event["seconds"] for event in long)
    return {
        "trials": len(turnarounds),
        "p50_ms": round(statistics.median(turnarounds), 1),
        "p99_ms": round(statistics.quantiles(turnarounds, n=100, method="inclusive")[98], 1),
        "max_ms": round(turnarounds[-1], 1),
        "fresh_process_ms": round(statistics.median(fresh_ms), 1),
        "idle_share": round(idle / (idle + training), 4),
        "idle_trial_seconds": round(training / len(long), 2),
    }


def main() -> None:
    """Measures, and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="turnarounds measured (default: %(default)s)")
    parser.add_argument("--idle-trials", type=int, default=10, help="long trials (default: %(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=5.0, help="how long they are (default: %(default)s)")
    parser.add_argument("--fresh", type=int, default=5, help="fresh processes measured (default: %(default)s)")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--first-step-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first_step_of:
        print_time_of_first_step(options.first_step_of)
        return
    result = measure(options.trials, options.idle_trials, options.idle_seconds, options.fresh)
    if options.output == "json":
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:20} {value:10}")


if __name__ == "__main__":
    main()
