"""Where copies of remote data are kept, unless the user says otherwise."""

import os
import tempfile
from pathlib import Path


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/kubenas`, or `~/.cache/kubenas`."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "kubenas"
    except RuntimeError:  # a user without a home directory
        return Path(tempfile.gettempdir()) / "kubenas-cache"
