"""Each image has what its code imports, also where a function does so."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"nas_api", "nas_controller", "nas_child", "nas_operator", "nas_cli"}
# Only controllers and workers have traces; `nas_api` imports it for them.
NOT_NEEDED = {"operator": {"opentelemetry"}}


def imported(directory: Path) -> set[str]:
    """The top-level modules that are imported anywhere below a directory, without ours and Python's own."""
    names: set[str] = set()
    for file in directory.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - OURS - set(sys.stdlib_module_names)


def installed(image: str) -> set[str]:
    """The distributions that an image has."""
    lines = (ROOT / "requirements" / f"{image}.txt").read_text().splitlines()
    return {normalized(line.partition("==")[0]) for line in lines}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("image", "packages"),
    [
        ("controller", ["controller_image/nas_controller", "api/nas_api"]),
        ("child", ["child_image/nas_child", "api/nas_api"]),
        ("operator", ["operator/nas_operator", "api/nas_api"]),
    ],
)
def test_an_image_has_what_its_code_imports(image: str, packages: list[str]) -> None:
    distributions = packages_distributions()
    needed = {
        module: {normalized(name) for name in distributions[module]}
        for package in packages
        for module in imported(ROOT / package) - NOT_NEEDED.get(image, set())
    }
    missing = sorted(module for module, names in needed.items() if not names & installed(image))
    assert not missing, f"add to the extra {image!r} of pyproject.toml, and run make lock-images"
