"""How many workers one controller carries: clients that train nothing, over mTLS, against a real controller process.

Each client has its own connection and does what a worker does: register, then lease an architecture, wait for
`--trial-seconds`, complete it, and so on. The learner is on: every batch of rewards makes an update of the policy.

    python benchmarks/load.py --clients 800 --trial-seconds 0 --seconds 20            # flat out
    python benchmarks/load.py --clients 800 --trial-seconds 1 --seconds 20            # 800 trials a second
    python benchmarks/load.py --clients 100 --seconds 10 --finished 12800             # an empty study, a full one
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from grpc import aio
from nas_api.certificates import CertificateAuthority, Identity, channel_credentials
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

MANIFEST = """\
apiVersion: kubenas.dev/v1alpha1
kind: NASSearch
metadata: {name: load}
spec:
  budget: {maxTrials: unlimited}
"""
SEARCH = "default/load"
_WAIT_SECONDS = 20.0
_RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


@dataclass
class Tally:
    """What the clients of one process saw in one window."""

    completed: int = 0
    errors: int = 0
    first_error: str = ""
    lease_seconds: list[float] = field(default_factory=list)

    def error(self, text: str) -> None:
        """Counts one."""
        self.errors += 1
        self.first_error = self.first_error or text


class Clients:
    """Workers that train nothing, in one process."""

    def __init__(self, address: str, certificates: Path, trial_seconds: float) -> None:
        self._address = address
        self._certificates = certificates
        self._trial_seconds = trial_seconds
        self.tally = Tally()

    async def run(self, number: int) -> None:
        """One worker, until cancelled."""
        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
        async with aio.secure_channel(self._address, channel_credentials(self._certificates), options) as channel:
            stub = rpc.TrialServiceStub(channel)
            worker = f"client-{number}"
            await self._call(stub.Register, pb.RegisterRequest(worker_id=worker, pool="default", device="none"))
            trial = 0
            while True:
                trial += 1
                await self._trial(stub, worker, trial)

    async def _trial(self, stub: Any, worker: str, trial: int) -> None:
        request = pb.LeaseRequest(request_id=f"{worker}.{trial}", worker_id=worker, wait_seconds=_WAIT_SECONDS)
        begin = time.perf_counter()
        reply = await self._call(stub.Lease, request)
        if not reply.HasField("assignment"):
            return
        self.tally.lease_seconds.append(time.perf_counter() - begin)
        if self._trial_seconds:
            await asyncio.sleep(self._trial_seconds * random.uniform(0.5, 1.5))  # workers do not go in step
        measurement = pb.Measurement(step=1, metrics={"val_accuracy": random.random()}, seconds=self._trial_seconds)
        done = pb.CompleteRequest(
            lease=reply.assignment.lease, worker_id=worker, outcome=pb.SUCCEEDED, measurements=[measurement]
        )
        completed = await self._call(stub.Complete, done)
        if completed.status == pb.CompleteReply.ACCEPTED:
            self.tally.completed += 1
        elif completed.status != pb.CompleteReply.DUPLICATE:
            self.tally.error(f"Complete was answered {completed}")

    async def _call(self, method: Any, request: Any) -> Any:
        """Calls as a worker does: what can pass is tried again, and counted as an error all the same."""
        while True:
            try:
                return await method(request, timeout=60)
            except aio.AioRpcError as error:
                self.tally.error(f"{error.code().name}: {error.details()}")
                if error.code() not in _RETRIED:
                    raise
                await asyncio.sleep(random.uniform(0, 0.5))


def run_clients(numbers: range, address: str, certificates: Path, trial_seconds: float, pipe: Any) -> None:
    """A process of clients.

    A message on the pipe ends a window and is answered with its tally. A false one ends the process as well.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def run() -> None:
        clients = Clients(address, certificates, trial_seconds)
        tasks = [asyncio.create_task(clients.run(number)) for number in numbers]
        while await asyncio.get_running_loop().run_in_executor(None, pipe.recv):
            ended, clients.tally = clients.tally, Tally()
            pipe.send(ended)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pipe.send(clients.tally)

    asyncio.run(run())


class Load:
    """A controller in a directory of its own and its clients."""

    def __init__(self, directory: Path, options: argparse.Namespace) -> None:
        authority = CertificateAuthority.create(SEARCH, timedelta(days=1))
        for name, identity in (
            ("server", Identity(SEARCH, "controller")),
            ("worker", Identity(SEARCH, "pool", "default")),
            ("admin", Identity(SEARCH, "admin")),
        ):
            authority.issue(identity, ["localhost"], ["127.0.0.1"]).write(directory / name)
        (directory / "search.yaml").write_text(MANIFEST)
        self._directory = directory
        command = [sys.executable, "-m", "nas_controller", "--log-level", "WARNING", "--state", str(directory)]
        command += ["--manifest", str(directory / "search.yaml"), "--certificates", str(directory / "server")]
        self._controller = subprocess.Popen([*command, "--address-file", str(directory / "address")])
        while not (directory / "address").exists():
            if self._controller.poll() is not None:
                raise SystemExit("the controller did not start")
            time.sleep(0.05)
        self._address = (directory / "address").read_text()
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        for i in range(options.processes):
            ours, theirs = context.Pipe()
            numbers = range(i, options.clients, options.processes)
            arguments = (numbers, self._address, directory / "worker", options.trial_seconds, theirs)
            context.Process(target=run_clients, args=arguments, daemon=True).start()
            self._pipes.append(ours)
        self._accepted = 0

    def summary(self) -> pb.Summary:
        """How the controller says that the search stands."""
        with grpc.secure_channel(self._address, channel_credentials(self._directory / "admin")) as channel:
            return rpc.SearchServiceStub(channel).GetSummary(pb.GetSummaryRequest(), timeout=60)

    def window(self, seconds: float) -> dict[str, Any]:
        """Figures of one window of time."""
        updates = self.summary().updates
        self._tallies()
        cpu, begin = self._cpu_seconds(), time.perf_counter()
        time.sleep(seconds)
        tallies = self._tallies()
        elapsed, cpu = time.perf_counter() - begin, self._cpu_seconds() - cpu
        completed = sum(tally.completed for tally in tallies)
        leases = sorted(s for tally in tallies for s in tally.lease_seconds)
        summary = self.summary()
        return {
            "pairs_per_second": round(completed / elapsed, 1),
            "lease_p50_ms": _percentile_ms(leases, 0.50),
            "lease_p99_ms": _percentile_ms(leases, 0.99),
            "cpu_ms_per_trial": round(1000 * cpu / max(1, completed), 3),
            "updates_per_second": round((summary.updates - updates) / elapsed, 1),
            "version_lag": summary.version_lag,
            "errors": sum(tally.errors for tally in tallies),
            "first_error": next((tally.first_error for tally in tallies if tally.first_error), ""),
        }

    def stop(self) -> int:
        """Ends clients and controller. Returns how many acknowledged results the journal does not have."""
        self._tallies(go_on=False)
        finished = self.summary().trials_finished
        self._controller.terminate()
        self._controller.wait(60)
        return max(0, self._accepted - finished)

    def _tallies(self, *, go_on: bool = True) -> list[Tally]:
        for pipe in self._pipes:
            pipe.send(go_on)
        tallies: list[Tally] = [pipe.recv() for pipe in self._pipes]
        self._accepted += sum(tally.completed for tally in tallies)
        return tallies

    def _cpu_seconds(self) -> float:
        """Of the controller and of its learner, which is a process of its own."""
        main = self._controller.pid
        learner = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        ticks = 0
        for process in (main, *learner):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _percentile_ms(ordered: list[float], share: float) -> float:
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else float("nan")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=800, metavar="N", help="default: %(default)s")
    parser.add_argument("--trial-seconds", type=float, default=0.0, metavar="S", help="mean; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="T", help="of a window; default: %(default)s")
    parser.add_argument("--warm-up", type=float, default=5.0, metavar="T", help="seconds before; default: %(default)s")
    parser.add_argument(
        "--processes", type=int, default=1, help="that the clients are spread over; default: %(default)s"
    )
    parser.add_argument(
        "--finished", type=int, default=0, metavar="N", help="measure again when N trials have finished"
    )
    parser.add_argument("-o", "--output", choices=["json", "text"], default="text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nas-load-") as directory:
        load = Load(Path(directory), options)
        time.sleep(options.warm_up)
        figures: dict[str, Any] = {"clients": options.clients, "trial_seconds": options.trial_seconds}
        figures |= load.window(options.seconds)
        if options.finished:
            while load.summary().trials_finished < options.finished:
                time.sleep(1)
            full = load.window(options.seconds)
            figures["with_finished_trials"] = {"finished": load.summary().trials_finished, **full}
        figures["lost"] = load.stop()
    if options.output == "json":
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:22} {value}")


if __name__ == "__main__":
    main()
