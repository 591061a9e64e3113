"""Files that are made from the models: written, or checked for drift."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(files: Mapping[str, str], description: str, arguments: list[str] | None = None) -> int:
    """The command line of a generator: `-o DIRECTORY [--check]`.

    Args:
        files: text by file name.
        description: of the generator, for `--help`.
        arguments: of the command line; those of the process by default.

    Returns:
        The exit status: 1 if a file is not as it should be, with `--check`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIRECTORY", help="where the files are")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    options = parser.parse_args(arguments)
    stale = [
        path
        for name, text in files.items()
        if not (path := options.output / name).is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if options.check:
            print(f"{path} is not what the models say: generate it again", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path.name], encoding="utf-8")
            print(f"wrote {path}")
    return int(options.check and bool(stale))
