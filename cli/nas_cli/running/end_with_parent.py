"""`python -m nas_cli.running.end_with_parent PID COMMAND...` becomes COMMAND, which gets SIGTERM when PID dies.

A `nas run` that is killed must not leave a controller behind that goes on with the journal. Linux can tell a process of
its parent's death, but the process has to ask for it itself. It cannot ask between `fork` and `exec`: no Python may run
there in a program with threads, and gRPC, which has many, aborts when it does.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Replaces this process by the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before this process could ask
        sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], command)  # noqa: S606 - there is no shell that could misread it


if __name__ == "__main__":
    main()
