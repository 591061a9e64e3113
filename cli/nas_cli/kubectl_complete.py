"""The program that kubectl asks for completions of `kubectl nas` (`kubectl_complete-nas`)."""

import io
import os
import shlex
import sys
from contextlib import redirect_stdout, suppress

from nas_cli.main import kubectl_plugin

# What kubectl is to do with the candidates (cobra's ShellCompDirective): no file names beside them; file names.
_NOTHING_ELSE, _FILES = ":4", ":0"


def kubectl_complete() -> None:
    """Prints candidates for the last argument, one a line, as kubectl asks plugins for them."""
    words = ["nas", *sys.argv[1:]]
    os.environ.update(
        COMP_WORDS=shlex.join(words), COMP_CWORD=str(len(words) - 1), _KUBECTL_NAS_COMPLETE="complete_bash"
    )
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        kubectl_plugin()
    candidates = [line for line in printed.getvalue().splitlines() if line]
    print("\n".join([*candidates, _NOTHING_ELSE if candidates else _FILES]))
