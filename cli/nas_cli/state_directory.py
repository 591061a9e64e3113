"""`StateDirectory`: where a search on this machine keeps everything, and the lock that one `nas run` holds on it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas_cli.failure import BadInput

RUNS = Path("runs")
_PATIENCE = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The paths in a state directory."""

    path: Path

    @property
    def manifest(self) -> Path:
        """The manifest as it is run, `--set` applied."""
        return self.path / "search.yaml"

    @property
    def journal(self) -> Path:
        """The controller's journal."""
        return self.path / "journal.sqlite"

    @property
    def certificates(self) -> Path:
        """Certificates of the server, of each pool's workers and of the administrator, made anew by each run."""
        return self.path / "certificates"

    @property
    def logs(self) -> Path:
        """Logs of the controller, the workers and the trials."""
        return self.path / "logs"

    @property
    def address(self) -> Path:
        """The file in which the controller says where it listens."""
        return self.path / "controller.address"

    @property
    def weights(self) -> Path:
        """What the trainings of the second stage have left."""
        return self.path / "weights"

    def trial_log(self, trial: int) -> Path:
        """What the training of one architecture printed."""
        return self.logs / "trials" / f"{trial:06d}.log"

    def trained(self, trial: int) -> Path:
        """Weights and metrics of an architecture that `nas train` has trained to the end."""
        return self.path / "trained" / f"{trial:06d}"

    @classmethod
    def find(cls, path: Path | None) -> "StateDirectory":
        """The state directory that the user means: `path`, or the only one in ./runs.

        Raises:
            BadInput: it is none, or there is not exactly one to choose from.
        """
        if path is not None:
            if not (path / "search.yaml").is_file():
                what = "is no state directory: it has no search.yaml" if path.is_dir() else "does not exist"
                raise BadInput(f"{path} {what}. `nas run FILE --state {path}` makes one")
            return cls(path)
        found = sorted(manifest.parent for manifest in RUNS.glob("*/search.yaml"))
        if not found:
            raise BadInput("there is no search in ./runs: start one with `nas run FILE`, or name one with --state DIR")
        if len(found) > 1:
            names = "\n".join(f"  --state {directory}" for directory in found)
            raise BadInput(f"there are several searches in ./runs, say which one you mean:\n{names}")
        return cls(found[0])

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Holds the directory for this process, so that no second `nas run` works on it.

        Yields:
            The locked file descriptor. A child process that inherits it prolongs the lock for as long as it lives.

        Raises:
            BadInput: another process holds it, or nothing can be written there.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise BadInput(f"{self.path} is a file where the state directory should be") from None
        except OSError as error:
            raise BadInput(f"cannot write to the state directory {self.path}: {error.strerror}") from error
        try:
            self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        patience = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                # When a `nas run` is killed, its controller still needs a moment to close the journal.
                if time.monotonic() < patience and not (holder.isdecimal() and Path(f"/proc/{holder}").exists()):
                    time.sleep(0.1)
                    continue
                raise BadInput(
                    f"another `nas run` (process {holder or 'unknown'}) is working on {self.path}. Wait until it is "
                    "done, stop it with Ctrl-C there, or choose another directory with --state DIR"
                ) from None
            return
