"""Containers of the images, as docker or podman runs them, under what a hardened pod is allowed."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 180.0
RESTRICTED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
    # Podman's own limits are above what a container, in which this may run, is allowed.
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
)


@dataclass
class Images:
    """The images, and containers of them."""

    program: str
    repository: str
    tag: str

    def name(self, target: str) -> str:
        return f"{self.repository}/{target}:{self.tag}"

    def run(self, *command: str) -> str:
        """Runs docker or podman. Returns what it writes, errors included."""
        done = subprocess.run(
            [self.program, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout.strip()

    def inspect(self, target: str) -> dict[str, Any]:
        (found,) = json.loads(self.run("image", "inspect", self.name(target)))
        return found  # type: ignore[no-any-return]

    def restricted(self, network: str = "none") -> list[str]:
        """Options of a container that has nothing of the machine, and only /tmp and volumes to write in."""
        # Podman would make more writable than docker.
        temporary = ["--read-only-tmpfs=false"] if self.program == "podman" else []
        return [*RESTRICTED, *temporary, "--network", network]

    def shell(self, target: str, script: str) -> str:
        """What a script writes that runs in a container."""
        return self.run("run", "--rm", *self.restricted(), "--entrypoint", "sh", self.name(target), "-c", script)

    def python(self, target: str, code: str) -> str:
        """What Python code writes that runs in a container."""
        return self.run("run", "--rm", *self.restricted(), "--entrypoint", "python", self.name(target), "-c", code)


class Container:
    """A container of an image with its own entry point, in the background."""

    def __init__(
        self,
        images: Images,
        target: str,
        *arguments: str,
        volumes: dict[str, Path],
        environment: dict[str, str] | None = None,
        network: str = "none",
    ) -> None:
        self.images = images
        options = [f"--volume={source}:{path}" for path, source in volumes.items()]
        options += [f"--env={name}={value}" for name, value in (environment or {}).items()]
        options += images.restricted(network)
        self.id = images.run("run", "--detach", *options, images.name(target), *arguments)

    def state(self) -> dict[str, Any]:
        return json.loads(self.images.run("inspect", "--format", "{{json .State}}", self.id))  # type: ignore[no-any-return]

    def logs(self) -> str:
        return self.images.run("logs", self.id)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Waits for something that happens while the container runs."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert self.state()["Status"] == "running", self.logs()
            assert time.monotonic() < give_up, self.logs()
            time.sleep(0.05)

    def wait_until_it_handles_sigterm(self) -> None:
        """Waits until process 1 has a handler, without which the kernel keeps the signal from it."""

        def handled() -> bool:
            status = self.images.run("exec", self.id, "cat", "/proc/1/status")
            return bool(int(status.partition("SigCgt:")[2].split()[0], 16) & 1 << 14)

        self.wait_until(handled)

    def terminate(self) -> int:
        """Ends it as Kubernetes does, but never by SIGKILL. Returns its exit status."""
        self.images.run("kill", "--signal", "TERM", self.id)
        return self.exit_status()

    def exit_status(self) -> int:
        """Waits for its end."""
        done = subprocess.run(
            [self.images.program, "wait", self.id], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        return int(done.stdout)
