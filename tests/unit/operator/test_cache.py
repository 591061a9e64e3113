"""The cache: told the truth in any order, by watches, lists and answers, it ends with the truth."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_operator.cache import Cache, Key
from nas_operator.names import labels

Object = dict[str, Any]
KEY = Key("vision", "digits")


def search(version: int = 1, uid: str = "search", **more: Any) -> Object:
    metadata = {"namespace": "vision", "name": "digits", "uid": uid, "resourceVersion": str(version)}
    return {"kind": "NASSearch", "metadata": metadata} | more


def job(name: str, version: int, uid: str = "", of: str = "digits", **more: Any) -> Object:
    metadata = {"namespace": "vision", "name": name, "uid": uid or name, "resourceVersion": str(version)}
    return {"kind": "Job", "metadata": metadata | {"labels": labels(of, "worker")}} | more


def versions(cache: Cache) -> dict[str, int]:
    return {
        name: int(found["metadata"]["resourceVersion"]) for name, found in cache.objects(KEY).get("Job", {}).items()
    }


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, Object, bool]]:
    """What happens to three Jobs, in order: made, changed and deleted, each with a higher version."""
    history = []
    alive: dict[str, str] = {}
    for version in range(1, draw(st.integers(1, 25)) + 1):
        name = draw(st.sampled_from("abc"))
        gone = name in alive and draw(st.booleans())
        uid = alive.setdefault(name, f"{name}-{version}")
        history.append((name, job(name, version, uid), gone))
        if gone:
            del alive[name]
    return history


def truth(history: Sequence[tuple[str, Object, bool]]) -> dict[str, int]:
    there: dict[str, int] = {}
    for name, told, gone in history:
        there.pop(name, None)
        if not gone:
            there[name] = int(told["metadata"]["resourceVersion"])
    return there


@given(histories(), st.data())
def test_however_it_is_told_it_ends_with_the_truth(
    history: list[tuple[str, Object, bool]], data: st.DataObject
) -> None:
    """A watch tells everything in order. Answers tell some of it before or after; lists show the state of some time."""
    cache = Cache()
    for i, (_, told, gone) in enumerate(history):
        _, early, early_gone = history[min(i + data.draw(st.integers(0, 3)), len(history) - 1)]
        if data.draw(st.booleans()):  # the answer to what the operator wrote
            (cache.remove if early_gone else cache.put)("Job", dict(early))
        if data.draw(st.booleans()):
            cache.begin_resync()
            upto = min(i + data.draw(st.integers(0, 3)), len(history))
            shown = truth(history[:upto])
            objects = [told for _, told, gone in history[:upto] if not gone]
            listed = [
                dict(o) for o in objects if shown.get(o["metadata"]["name"]) == int(o["metadata"]["resourceVersion"])
            ]
            cache.replace("Job", "vision", listed, upto)
            cache.end_resync()
        cache.watched("Job", dict(told), deleted=gone)
    assert versions(cache) == truth(history)


@given(histories())
def test_a_list_alone_ends_with_the_truth(history: list[tuple[str, Object, bool]]) -> None:
    """The watch has missed anything: it was told of the first half, and the list shows the whole."""
    cache = Cache()
    for _, told, gone in history[: len(history) // 2]:
        cache.watched("Job", told, deleted=gone)
    there = truth(history)
    listed = [
        told for name, told, gone in history if not gone and there.get(name) == int(told["metadata"]["resourceVersion"])
    ]
    cache.begin_resync()
    cache.replace("Job", None, listed, len(history))
    cache.end_resync()
    assert versions(cache) == there


def test_it_knows_which_search_an_object_is_of() -> None:
    cache = Cache()
    assert cache.put("NASSearch", search()) == KEY
    assert cache.put("Job", job("a", 2)) == KEY
    assert cache.put("Job", job("b", 3, of="speech")) == Key("vision", "speech")
    stranger = job("c", 4)
    stranger["metadata"]["labels"] = {"app": "theirs"}
    assert cache.put("Job", stranger) is None
    assert cache.keys() == [KEY]
    assert cache.objects(KEY).keys() == {"NASSearch", "Job"}
    assert cache.count() == 3


def test_what_is_known_is_no_news() -> None:
    cache = Cache()
    assert cache.watched("Job", job("a", 5), deleted=False) == KEY
    assert cache.watched("Job", job("a", 5), deleted=False) is None
    assert cache.watched("Job", job("a", 4), deleted=False) is None
    assert cache.watched("Job", job("a", 6), deleted=False) == KEY
    assert cache.watched("Job", job("a", 7), deleted=True) == KEY
    assert cache.watched("Job", job("a", 7), deleted=True) is None


def test_a_status_that_only_the_operator_writes_is_no_news() -> None:
    cache = Cache()
    cache.put("NASSearch", search(1))
    assert cache.put("NASSearch", search(2, status={"updates": 1})) is None
    assert cache.objects(KEY)["NASSearch"]["digits"]["status"] == {"updates": 1}
    assert cache.put("NASSearch", search(3, status={"updates": 1}, spec={"suspend": True})) == KEY
    cache.put("Job", job("a", 1))
    assert cache.put("Job", job("a", 2, status={"ready": 1})) == KEY


def test_an_object_made_anew_is_another_one() -> None:
    cache = Cache()
    cache.put("Job", job("a", 1, "first"))
    cache.put("Job", job("a", 5, "second"))
    assert cache.watched("Job", job("a", 4, "first"), deleted=True) is None
    assert versions(cache) == {"a": 5}


def test_a_search_without_anything_left_is_forgotten() -> None:
    cache = Cache()
    cache.put("NASSearch", search(1))
    cache.put("Job", job("a", 2))
    cache.remove("NASSearch", search(3))
    assert cache.keys() == []
    assert cache.objects(KEY).keys() >= {"Job"}
    cache.remove("Job", job("a", 4))
    assert cache.objects(KEY) == {}
    assert cache.count() == 0


def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    cache = Cache()
    cache.put("NASSearch", search(1))
    assert cache.replace("NASSearch", "speech", [], 10) == set()
    assert cache.keys() == [KEY]
    assert cache.replace("NASSearch", None, [], 10) == {KEY}
    assert cache.keys() == []


def test_managed_fields_are_not_kept() -> None:
    cache = Cache()
    told = job("a", 1)
    told["metadata"]["managedFields"] = [{"manager": "kubenas-operator"}]
    cache.put("Job", told)
    assert "managedFields" not in cache.objects(KEY)["Job"]["a"]["metadata"]


@pytest.mark.parametrize("heals", [True, False])
def test_a_watch_that_does_not_tell_what_a_list_shows_is_stale(heals: bool) -> None:
    now = [0.0]
    cache = Cache(clock=lambda: now[0])
    cache.watched("Job", job("a", 1), deleted=False)
    cache.replace("Job", None, [job("a", 2)], 2)
    now[0] = 100.0
    assert cache.stale_watch(180) is None
    if heals:
        cache.watched("Job", job("a", 3), deleted=False)
    now[0] = 200.0
    words = None if heals else "the watch has not told of Job vision/a, which a list showed 200 s ago"
    assert cache.stale_watch(180) == words


def test_what_was_deleted_is_remembered_only_until_no_list_can_show_it() -> None:
    cache = Cache()
    for resync in range(5):
        cache.begin_resync()
        cache.remove("Job", job("a", resync * 2 + 2, uid=f"uid-{resync}"))
        cache.replace("Job", None, [job("a", resync * 2 + 1, uid=f"uid-{resync}")], resync * 2 + 1)
        cache.end_resync()
        assert versions(cache) == {}
        assert len(cache._deleted) <= 2


def test_a_watch_need_not_tell_of_what_is_gone_by_the_next_list() -> None:
    now = [0.0]
    cache = Cache(clock=lambda: now[0])
    cache.replace("Job", None, [job("a", 1), job("b", 2)], 2)
    cache.replace("Job", "speech", [], 3)
    now[0] = 200.0
    assert cache.stale_watch(180)
    cache.watched("Job", job("b", 2), deleted=False)
    cache.replace("Job", "vision", [job("b", 2)], 4)
    assert cache.stale_watch(180) is None
