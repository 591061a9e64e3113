"""Writes the dashboards as JSON into the chart.

python -m tools.dashboards [--check]
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import controller, fleet, operator, pools, search

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "helm" / "nas-operator" / "dashboards"
_DASHBOARDS: dict[str, Callable[[], Dashboard]] = {
    "fleet": fleet.dashboard,
    "search": search.dashboard,
    "pools": pools.dashboard,
    "controller": controller.dashboard,
    "operator": operator.dashboard,
}


def dashboards() -> dict[Path, str]:
    """The files with their texts."""
    return {
        DIRECTORY / f"{name}.json": json.dumps(make(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        + "\n"
        for name, make in _DASHBOARDS.items()
    }


def main() -> int:
    """Writes the files, or checks them.

    Returns:
        The exit status: 1 if a file is not as it should be, with `--check`.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.dashboards", description="Generates the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    options = parser.parse_args()
    files = dashboards()
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    surplus = sorted(set(DIRECTORY.glob("*.json")) - set(files))
    if not options.check:
        DIRECTORY.mkdir(exist_ok=True)
        for path in stale:
            path.write_text(files[path], encoding="utf-8")
        for path in surplus:
            path.unlink()
    for path in (*stale, *surplus):
        print(f"{path.relative_to(ROOT)} {'is not up to date: make manifests' if options.check else 'written'}")
    return int(options.check and bool(stale or surplus))


if __name__ == "__main__":
    sys.exit(main())
