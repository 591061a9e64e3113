"""The page: what is on it, that nothing can be smuggled into it, and that it stays small."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from nas_api.architectures import Discrete
from nas_api.spec import NASSearch
from nas_cli.reporting.material import Material, Twin
from nas_cli.reporting.page import render
from nas_controller.data_shape import DataShape
from nas_controller.journal.journal import FinalTrainingRecord, Measurement, PlannedTraining, SampledTrial, TrialState
from nas_controller.progress import Progress, Verdict
from nas_controller.proposal import Proposal

from tests.unit.cli.conftest import IMAGE, architecture

from .records import span, trial, trials, update

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">'\"&{{7*7}}"
VOID = {"meta", "link", "img", "br", "input", "hr"}


def search(**spec: object) -> NASSearch:
    head = {"apiVersion": "kubenas.dev/v1alpha1", "kind": "NASSearch", "metadata": {"name": "digits"}}
    return NASSearch.model_validate({**head, "spec": spec})


EMPTY = Material(
    search=search(),
    read_at=1_700_000_000.0,
    where="-s runs/digits",
    finished=[],
    top=[],
    updates=[],
    leases=[],
    final_trainings=[],
    trained=[],
    progress=Progress(),
    verdict=None,
    remarks=(),
    data_shape=None,
    twin=None,
)


def drawable(number: int, reward: float) -> object:
    network = architecture(number)
    sampled = SampledTrial(number, 1, Proposal((), 3), network.canonical().to_json(), network.digest, 5000, 1_000_000)
    series = (Measurement(1, {"val_accuracy": reward ** (1 / 3)}, 5.0),)
    return replace(trial(number, reward), sampled=sampled, measurements=series)


FULL = replace(
    EMPTY,
    finished=[*trials([0.5, 0.7, None]), trial(4, 0.7, replay_of=2, seconds=0.0)],
    top=[drawable(2, 0.7), drawable(1, 0.5)],
    updates=[update(1), update(2)],
    leases=[span("default", 0.0, 3600.0, device=3000.0), span("default", 3600.0, 7200.0, ended="Lost")],
    final_trainings=[
        FinalTrainingRecord(
            PlannedTraining(1, 2, '{"epochs": 60}', 0), True, TrialState.SUCCEEDED, reward=0.8,
            measurements=(Measurement(60, {"test_accuracy": 0.97}, 9.0),), train_seconds=9.0, finished_at=1.0,
        )
    ],
    trained=[{"trial": 2, "epochs": 30, "test_accuracy": 0.96, "test_loss": 0.1, "seconds": 61.0}],
    progress=Progress(
        {TrialState.SUCCEEDED: 3, TrialState.FAILED: 1}, device_seconds=30.0, active_seconds=65.0, replayed=1
    ),
    verdict=Verdict("SUCCEEDED", "BudgetSpent", "4 trials have finished (budget.maxTrials)"),
    data_shape=DataShape(IMAGE, 10),
    twin=Twin("digits-random", trials([0.1, 0.2])),
)  # fmt: skip


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a person reads, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def of(self, tag: str) -> Iterator[dict[str, str | None]]:
        """The attributes of each element of a kind."""
        return (attributes for name, attributes in self.tags if name == tag)


def test_all_of_a_search_is_on_it() -> None:
    page = Page(render(FULL, {"default": 2.0}, "EUR"))
    for expected in (
        "The search has ended: 4 trials have finished (budget.maxTrials).",
        "4 of 12,800 1 failed",
        "After 2 trials the mean reward of the 15 best architectures is 0.6000, of the random twin's 0.1500",
        "1. Trial 2 reward 0.7000 val_accuracy 0.8879 parameters 5,000",
        "1: 3x1 conv, 10 filters, from image",
        "2 epochs 60 Succeeded, counts 0.8000 0.97",
        "2 30 0.96 0.1 1m 01s",
        "default 1 2 2.00 1 (1.00 h) 0.833 4.00",
        "4.00 EUR",
        "1 trial had the architecture of an earlier one, and with it its result, which had taken 10s to train.",
        "apiVersion: kubenas.dev/v1alpha1",
        "As of 2023-11-14 22:13 UTC",
    ):
        assert expected in page.text
    keys = ("course", "entropy", "baseline", "parameters", "seconds", "pools")
    assert [a["data-tips"] for a in page.of("div") if "data-tips" in a] == [f"{key}-tips" for key in keys]


def test_a_search_that_has_just_begun_has_a_page_that_says_so() -> None:
    page = Page(render(EMPTY, {}, "EUR"))
    for expected in ("The search has not ended.", "No trial has finished yet.", "No trial has succeeded yet.",
                     "No worker has trained yet.", "0 of 12,800"):  # fmt: skip
        assert expected in page.text
    assert not any("data-tips" in attributes for attributes in page.of("div"))


def test_a_search_in_which_all_has_failed_has_a_page_that_says_why() -> None:
    failed = [trial(1, None, reason="OutOfMemory"), trial(2, None, reason="OutOfMemory"), trial(3, None, reason="NaN")]
    page = Page(render(replace(EMPTY, finished=failed), {}, "EUR"))
    assert "OutOfMemory 2 2" in page.text
    assert "NaN 1 3" in page.text


def test_choices_are_told_in_words_alone() -> None:
    choices = Discrete.model_validate({"decisions": [{"name": "heads", "value": 4}, {"name": "rate", "value": 0.1}]})
    record = trial(1, 0.5, parameters=0)
    record = replace(record, sampled=replace(record.sampled, architecture=choices.canonical().to_json()))
    page = Page(render(replace(EMPTY, finished=[record], top=[record]), {}, "EUR"))
    assert "In words heads: 4 rate: 0.1" in page.text
    assert not any(attributes.get("class") == "drawing" for attributes in page.of("div"))


def test_it_refers_to_nothing_but_itself() -> None:
    text = render(FULL, {}, "EUR")
    page = Page(text)
    references = [
        value
        for _, attributes in page.tags
        for name in ("href", "src", "xlink:href")
        if (value := attributes.get(name))
    ]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(value == "data:," or value.removeprefix("#") in ids for value in references)
    assert not re.search(r"@import|url\((?!#)", text)
    labels = [value for _, attributes in page.tags for name in ("aria-labelledby", "aria-describedby", "data-tips")
              if (value := attributes.get(name))]  # fmt: skip
    assert labels
    assert set(labels) <= set(ids)


def test_its_headings_have_one_order_and_its_pictures_have_words() -> None:
    page = Page(render(FULL, {}, "EUR"))
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for tag, attributes in page.tags:
        if attributes.get("role") == "img":
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")
        assert tag != "svg" or attributes.get("aria-hidden") == "true" or "overflow" in attributes


def test_whatever_a_search_says_of_itself_stays_text() -> None:
    manifest = search(
        trainer={"task": "mine:train", "parameters": {HOSTILE: HOSTILE}},
        reward={"metric": "score"},
        searchSpace={"type": "Discrete", "discrete": {"choices": [{"name": "a", "values": [HOSTILE, "b"]}]}},
    )
    choices = Discrete.model_validate({"decisions": [{"name": "a", "value": HOSTILE}]})
    good = trial(1, 0.5)
    good = replace(good, sampled=replace(good.sampled, architecture=choices.canonical().to_json()))
    bad = replace(trial(2, None, reason=HOSTILE), message=HOSTILE)
    hostile = replace(
        EMPTY,
        search=manifest,
        where=f"-s '{HOSTILE}'",
        finished=[good, bad],
        top=[good],
        leases=[span(HOSTILE, 0.0, 9.0)],
        trained=[{"trial": 1, "epochs": 1, f"test_{HOSTILE}": 0.5, "seconds": 1.0}],
        verdict=Verdict("FAILED", "TooManyFailures", HOSTILE),
        remarks=(HOSTILE,),
    )
    text = render(hostile, {HOSTILE: 1.0}, HOSTILE)
    page = Page(text)
    harmless = Page(render(replace(hostile, remarks=("r",), leases=[span("p", 0.0, 9.0)]), {}, "EUR"))
    assert [tag for tag, _ in page.tags].count("script") == [tag for tag, _ in harmless.tags].count("script")
    assert "img" not in [tag for tag, _ in page.tags]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "document.title='taken'" in page.text  # for a person to read
    assert "49" not in [word.strip() for word in page.words]  # and no template


def test_the_page_of_a_search_as_long_as_the_papers_is_no_larger_than_a_photograph() -> None:
    finished = [
        trial(
            n, None if n % 50 == 0 else 0.5 + n % 997 / 2000, parameters=1000 + n * 7919 % 99_991, seconds=60 + n % 613
        )
        for n in range(1, 12_801)
    ]
    leases = [span(f"pool{n % 3}", 10.0 * n, 10.0 * n + 4000, worker=f"w{n % 800}") for n in range(12_800)]
    long = replace(
        FULL, finished=finished, updates=[update(n) for n in range(1, 1601)], leases=leases,
        twin=Twin("digits-random", finished),
    )  # fmt: skip
    size = len(render(long, {}, "EUR").encode())
    assert size < 700_000
    longer = replace(long, finished=[*finished, *finished], leases=[*leases, *leases])
    assert len(render(longer, {}, "EUR").encode()) < 1.1 * size


@pytest.mark.parametrize("algorithm", ["Random", "PPO"])
def test_the_algorithm_is_named(algorithm: str) -> None:
    material = replace(EMPTY, search=search(controller={"algorithm": {"type": algorithm}}))
    assert f"ConvNet, {algorithm}." in Page(render(material, {}, "EUR")).text
