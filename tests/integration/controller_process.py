"""A real controller, as a process, on loopback."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import grpc
from nas_api.certificates import CertificateAuthority, Identity, channel_credentials
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

# A process forked off one that has imported the controller starts in a tenth of a second, not in four.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["nas_controller.command", "nas_controller.local_job_runner"])


def _serve(arguments: list[str], log: Path, environment: dict[str, str]) -> None:
    """The main function of a controller's process."""
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from nas_controller.__main__ import main

    sys.argv[1:] = arguments
    sys.exit(main())


@dataclass
class ControllerProcess:
    """A controller of `search` in `directory`, which can be killed and started again, always at the same address."""

    directory: Path
    search: str = "default/test"
    authority: CertificateAuthority = field(init=False)
    process: BaseProcess | None = None
    listen: str = field(init=False)
    state: Path | None = None  # None: the directory
    metrics: str | None = None  # where it serves them
    environment: dict[str, str] = field(default_factory=dict)  # beside that of the tests

    def __post_init__(self) -> None:
        # A socket that is bound and never listens: nobody else is given the port while the controller is away.
        self._port = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind(("127.0.0.1", 0))
        self.listen = f"127.0.0.1:{self._port.getsockname()[1]}"
        self.authority = CertificateAuthority.create(self.search, timedelta(days=1))
        self.issue("server", Identity(self.search, "controller"))
        self.issue("worker", Identity(self.search, "pool", "default"))
        self.issue("admin", Identity(self.search, "admin"))

    def issue(self, name: str, identity: Identity, lifetime: timedelta = timedelta(days=1)) -> Path:
        """Writes a certificate into a directory of that name."""
        self.authority.issue(identity, ["localhost"], ["127.0.0.1"], lifetime).write(self.directory / name)
        return self.directory / name

    def write_manifest(self, spec: str) -> None:
        """Writes the manifest; `spec` in YAML, indented by two."""
        name = self.search.partition("/")[2]
        text = f"apiVersion: kubenas.dev/v1alpha1\nkind: NASSearch\nmetadata: {{name: {name}}}\nspec:\n{spec}\n"
        (self.directory / "search.yaml").write_text(text)

    def start(self) -> None:
        """Starts the process and waits until it serves."""
        self.start_without_waiting()
        self.wait_until_it_serves()

    def start_without_waiting(self) -> None:
        """Starts the process."""
        (self.directory / "address").unlink(missing_ok=True)
        arguments = ["--manifest", "search.yaml", "--certificates", "server", "--address-file", "address"]
        arguments = [a if a.startswith("--") else str(self.directory / a) for a in arguments]
        arguments += ["--state", str(self.state or self.directory), "--listen", self.listen]
        if self.metrics is not None:
            arguments += ["--metrics-listen", self.metrics]
        self.process = _FORKS.Process(target=_serve, args=(arguments, self.log, self.environment), daemon=False)
        self.process.start()

    def wait_until_it_serves(self) -> None:
        """Waits until the process has told its address."""
        assert self.process is not None
        address = self.directory / "address"
        while not address.exists():
            self.process.join(0.01)
            assert self.process.is_alive(), f"the controller ended: {self.log.read_text()}"
        assert address.read_text() == self.listen

    @property
    def log(self) -> Path:
        return self.directory / "controller.log"

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def end(self) -> None:
        """`kill -9`, if it has been started and has not ended."""
        if self.process is not None and self.process.is_alive():
            self.kill()

    def stop(self) -> int | None:
        """SIGTERM. Returns the exit status."""
        assert self.process is not None
        self.process.terminate()
        self.process.join(60)
        return self.process.exitcode

    def wait_until_ended(self) -> None:
        """Waits until the search has ended and everything is learnt."""
        with self.channel("admin") as channel:
            service = rpc.SearchServiceStub(channel)
            while (
                service.GetSummary(pb.GetSummaryRequest(), timeout=20, wait_for_ready=True).state == pb.Summary.RUNNING
            ):
                time.sleep(0.02)

    def channel(self, certificates: str = "worker") -> grpc.Channel:
        """A channel of its own to the controller, with the certificate of that name."""
        options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 10_000),  # how long a handshake may take on a busy machine
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        return grpc.secure_channel(self.listen, channel_credentials(self.directory / certificates), options)
