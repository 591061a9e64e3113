"""Writes plain values for programs: JSON, YAML and CSV, to stdout."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def write_document(value: Any, output: str) -> None:
    """Writes a value as `json` or as `yaml`."""
    if output == "json":
        json.dump(value, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        import yaml

        yaml.dump(value, sys.stdout, Dumper=yaml.CSafeDumper, sort_keys=False)


def write_csv(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Writes rows with a header."""
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
