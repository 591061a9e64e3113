"""`python -m nas_controller`: the controller of one search, as a process."""

import os
import signal
import sys


def main() -> int:
    """Runs it to its end. Returns the exit status."""
    # Process 1 of a container gets only signals that it handles. There is nothing to end in order before it serves, but
    # its imports take their time.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    from nas_controller.command import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
