"""The programs of a cluster: Go modules at pinned versions, built once for each version of the module `hyperkube`."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.layout import cache_directory
from tests.cluster.progress import Progress, say
from tests.cluster.toolchain import obtain_go

MODULE = Path(__file__).parent / "hyperkube"

# One binary, and links to it with these names.
_COMPONENTS = (
    "coredns",
    "etcd",
    "helm",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "kwok",
    "network-policies",
    "volume-provisioner",
)
_PACKAGES = (
    ".",
    "./pause",
    "./probe",
    "github.com/containerd/containerd/v2/cmd/containerd",
    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    "github.com/containerd/containerd/v2/cmd/ctr",
)


@dataclass(frozen=True)
class Programs:
    """Where the programs of a cluster are: in a directory, or, without one, wherever the machine has them."""

    directory: Path | None

    def path(self, name: str) -> Path:
        """The program of that name.

        Raises:
            RuntimeError: There is none.
        """
        found = self.directory / name if self.directory else shutil.which(name)
        if found is None:
            raise RuntimeError(f"{name} is needed, and not on PATH")
        return Path(found)


def obtain_programs() -> Programs:
    """The programs, built first if they are not in the cache.

    A directory in the environment variable KUBENAS_CLUSTER_PROGRAMS has them ready made.

    Raises:
        RuntimeError: The build failed.
    """
    if ready_made := os.environ.get("KUBENAS_CLUSTER_PROGRAMS"):
        return Programs(Path(ready_made))
    cache = cache_directory()
    programs = cache / module_hash(MODULE)
    if not programs.exists():
        with _alone(cache / "build.lock"):
            if not programs.exists():  # another process may just have built them
                _build(cache, programs)
    return Programs(programs)


def module_hash(module: Path) -> str:
    """A name for the content of a Go module, and for what is built of it."""
    digest = hashlib.sha256(repr((_COMPONENTS, _PACKAGES)).encode())
    for file in sorted(file for file in module.rglob("*") if file.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(module)} {content}\n".encode())
    return digest.hexdigest()[:16]


def required_version(go_mod: str, module: str) -> str:
    """The version of a module that a go.mod requires, as "1.36.3"; of `go` itself too."""
    match = re.search(rf"^\s*{re.escape(module)} v?(\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise ValueError(f"go.mod requires no {module}")
    return match[1]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another process that builds the programs of the cluster")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(cache: Path, programs: Path) -> None:
    go_mod = (MODULE / "go.mod").read_text()
    kubernetes = required_version(go_mod, "k8s.io/kubernetes")
    say(
        f"Building Kubernetes {kubernetes}, etcd, containerd, CoreDNS, kwok and helm from source: 10 to 20 minutes on "
        f"2 cores, 4 GB of disk meanwhile, once. They will be kept in {programs}"
    )
    started = time.monotonic()
    go = obtain_go(cache, required_version(go_mod, "go"))
    scratch = cache / "build"  # kept when the build fails, so that the next try goes on from there
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(scratch / "cache"),
        "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly -modcacherw",
        "GOMODCACHE": str(scratch / "modules"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    output = scratch / "programs"
    shutil.rmtree(output, ignore_errors=True)

    say("Downloading the Go modules")
    listed = _go([go, "list", "-deps", *_PACKAGES], environment, Progress("modules downloaded"), "go: downloading")
    major, minor, _ = kubernetes.split(".")
    version = "k8s.io/component-base/version"
    variables = {"gitVersion": f"v{kubernetes}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(["-s", "-w", *(f"-X {version}.{name}={value}" for name, value in variables.items())])
    command: list[str | Path] = [go, "build", "-v", "-ldflags", flags, "-o", f"{output}/", *_PACKAGES]
    say("Compiling")
    _go(command, environment, Progress("packages compiled", total=len(listed)), "")

    for name in _COMPONENTS:
        (output / name).symlink_to("hyperkube")
    output.rename(programs)
    shutil.rmtree(scratch)
    say(f"Built in {time.monotonic() - started:.0f} s")


def _go(command: Sequence[str | Path], environment: dict[str, str], progress: Progress, counted: str) -> list[str]:
    """Runs a Go command, counts lines of its standard error that begin so, and returns those of its standard output."""
    with tempfile.TemporaryFile("w+") as output:  # not a second pipe, which could fill up while the first is read
        process = subprocess.Popen(
            ["nice", *map(str, command)], cwd=MODULE, env=environment, stdout=output, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        last: deque[str] = deque(maxlen=20)
        for line in process.stderr:
            last.append(line)
            if line.startswith(counted):
                progress.advance()
        progress.close()
        if process.wait():
            raise RuntimeError(f"{' '.join(map(str, command[:2]))} failed:\n{''.join(last)}")
        output.seek(0)
        return output.read().splitlines()
