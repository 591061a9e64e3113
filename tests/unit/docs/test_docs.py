"""What the documentation says is so: links lead somewhere, manifests are valid, every reason is explained."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from nas_api.spec import NASSearch

ROOT = Path(__file__).parents[3]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("helm/**/*.md"),
    *ROOT.glob("examples/**/*.md"),
]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{path} is not there"
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor} is not there"


def manifests() -> Iterator[Any]:
    for page in PAGES:
        for number, text in enumerate(YAML.findall(page.read_text())):
            for document in yaml.safe_load_all(text):
                if document.get("kind") == "NASSearch" or document.keys() == {"spec"}:
                    yield pytest.param(document, id=f"{page.relative_to(ROOT)}-{number}")


@pytest.mark.parametrize("document", list(manifests()))
def test_every_manifest_is_valid(document: dict[str, Any]) -> None:
    """Of some only the part is shown that matters."""
    head = {"apiVersion": "kubenas.dev/v1alpha1", "kind": "NASSearch", "metadata": {"name": "a"}}
    spec = document["spec"]
    if ":" in spec.get("trainer", {}).get("task", ""):
        spec.setdefault("reward", {"metric": "mine"})
    NASSearch.model_validate({**head, **document})


def test_every_reason_of_a_problem_is_explained() -> None:
    planning = ROOT / "operator/nas_operator/planning"
    reasons = {
        reason
        for module in planning.rglob("*.py")
        for reason in re.findall(r'[Pp]roblem\(\s*f?"(?:\{part\.name\})?([A-Z]\w+)"', module.read_text())
    }
    assert {"ImagePullFailed", "Crashed", "JournalFull"} <= reasons
    page = (ROOT / "docs/operations.md").read_text()
    explained = set(re.findall(r"`(?:\.\.\.)?([A-Z]\w+)`", page.partition("| Reason |")[2]))
    ends = {reason: re.sub(r"^(Workers?|Controller|Pod)", "", reason) for reason in reasons}
    assert {reason for reason, end in ends.items() if {reason, end}.isdisjoint(explained)} == set()
