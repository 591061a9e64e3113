"""The processes below this one: none of them may outlive what started it.

A trial runs code that we do not know. It may fork, daemonise, or be killed half way; what it leaves behind would hold
the memory and the device that the next trial needs. A subreaper (Linux, prctl(2)) adopts every orphan below it, so
whatever a trial starts stays in its tree and can be found.
"""

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def die_with_parent(signal_number: signal.Signals, parent: int) -> None:
    """Has the kernel send this process a signal when its parent ends, however that happens.

    Args:
        signal_number: what to send.
        parent: process id that the parent has or had. If it has ended already, this process ends at once.
    """
    _prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Makes this process the parent of every process below it whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def signal_name(number: int) -> str:
    """Name of a signal for a person."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def descendants(pid: int) -> set[int]:
    """The processes below `pid`, zombies included."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it may have ended
                # The name in parentheses can hold anything: fields are counted from behind it.
                parent = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    unvisited = [pid]
    while unvisited:
        below = children.get(unvisited.pop(), [])
        found.update(below)
        unvisited += below
    return found


def kill_descendants(patience: float = 10.0) -> int:
    """Kills and reaps every process below this one, which must be a subreaper.

    Args:
        patience: seconds after which processes that cannot be killed (they wait for a device, say) are left.

    Returns:
        How many there were.
    """
    killed: set[int] = set()
    give_up = time.monotonic() + patience
    while _reap():
        below = descendants(os.getpid())
        for pid in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= below
        if time.monotonic() > give_up:
            break
        time.sleep(0.005)
    return len(killed)


def reap_orphans(own: int | None) -> None:
    """Reaps children that have ended, but not `own`, whose status somebody waits for.

    Process 1 of a container inherits every orphan in it, that of a shell that someone has opened there, too.
    """
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != own:
            os.waitpid(ended.si_pid, os.WNOHANG)


def _reap() -> bool:
    """Reaps every child that has ended. Whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return False
    return True
