"""What is asked of the API server about a search, and when it is asked again."""

import base64
from collections import Counter
from typing import cast

import pytest
from nas_api.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE
from nas_operator.cache import Key
from nas_operator.controller_client import ControllerClient, ControllerError
from nas_operator.kubernetes_api import KubernetesApi
from nas_operator.names import admin_certificate_name, controller_name, journal_claim_name, labels
from nas_operator.observed import Object
from nas_operator.observer import Observer

KEY = Key("vision", "digits")
CLAIM = journal_claim_name("digits")


def an_object(kind: str, name: str, **more: object) -> Object:
    metadata = {"name": name, "uid": f"{kind}/{name}", "ownerReferences": [{"kind": "NASSearch", "uid": "search-uid"}]}
    return {"kind": kind, "metadata": metadata} | more


SEARCH = an_object("NASSearch", "digits", spec={}) | {"metadata": {"name": "digits", "uid": "search-uid"}}
READY = an_object("StatefulSet", controller_name("digits"), status={"readyReplicas": 1})
SERVICE = an_object("Service", controller_name("digits"), spec={"clusterIP": "10.96.0.7"})
ADMIN = an_object(
    "Secret",
    admin_certificate_name("digits"),
    data={file: base64.b64encode(b"pem").decode() for file in (CA_FILE, CERTIFICATE_FILE, KEY_FILE)},
)


class Answers:
    """Stands for the API server, with what it has, and counts what it is asked for."""

    def __init__(self, *objects: Object, warnings: tuple[Object, ...] = ()) -> None:
        self.objects = {(found["kind"], found["metadata"]["name"]): found for found in objects}
        self.warnings = warnings
        self.asked: Counter[tuple[str, str]] = Counter()

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        assert namespace == KEY.namespace
        self.asked[kind, name] += 1
        return self.objects.get((kind, name))

    def list(self, kind: str, *_: object, **__: object) -> tuple[list[Object], str]:
        return (list(self.warnings) if kind == "Event" else []), ""


class Unreachable:
    """Stands for the connections to controllers, none of which answers."""

    def summary(self, *_: object) -> None:
        raise ControllerError("connection refused")


def observer(api: Answers) -> Observer:
    return Observer(cast(KubernetesApi, api), cast(ControllerClient, Unreachable()), 60, clock=lambda: 0.0)


def cached(*objects: Object) -> dict[str, dict[str, Object]]:
    return {found["kind"]: {found["metadata"]["name"]: found} for found in (SEARCH, *objects)}


def warning(kind: str, name: str) -> Object:
    about = {"kind": kind, "name": name, "uid": "other"}
    return {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "reason": name, "involvedObject": about}


def test_what_is_not_watched_is_asked_for_once() -> None:
    api = Answers(SERVICE, an_object("PersistentVolumeClaim", CLAIM))
    look = observer(api)
    not_ready = cached(READY | {"status": {}})
    assert [look.observe(KEY, not_ready, look_closer=False).service for _ in range(2)] == [SERVICE, SERVICE]
    assert set(api.asked.values()) == {1}


def test_what_an_action_has_given_to_another_owner_is_not_the_search_s_any_more() -> None:
    api = Answers(SERVICE)
    look = observer(api)
    assert look.observe(KEY, cached(), look_closer=False).service == SERVICE
    owners = [{"kind": "NASPool", "uid": "pool"}]
    look.written(KEY, "Service", SERVICE["metadata"]["name"], {**SERVICE, "metadata": {"ownerReferences": owners}})
    assert look.observe(KEY, cached(), look_closer=False).service is None


def test_the_claim_of_the_journal_is_asked_for_until_the_stateful_set_has_made_it() -> None:
    api = Answers()
    look = observer(api)
    assert look.observe(KEY, cached(), look_closer=False).journal_claim is None
    assert api.asked["PersistentVolumeClaim", CLAIM] == 0
    not_ready = cached(READY | {"status": {}})
    assert look.observe(KEY, not_ready, look_closer=False).journal_claim is None
    # Of the StatefulSet, if it is anybody's.
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM, "uid": "claim"}}
    api.objects["PersistentVolumeClaim", CLAIM] = claim
    assert [look.observe(KEY, not_ready, look_closer=False).journal_claim for _ in range(2)] == [claim, claim]
    assert api.asked["PersistentVolumeClaim", CLAIM] == 2


@pytest.mark.parametrize("gone", [SERVICE, ADMIN], ids=["service", "certificate"])
def test_when_the_controller_does_not_answer_it_is_looked_at_once_more_how_to_reach_it(gone: Object) -> None:
    api = Answers(SERVICE, ADMIN)
    look = observer(api)
    assert look.observe(KEY, cached(READY), look_closer=False).summary_problem == "connection refused"
    del api.objects[gone["kind"], gone["metadata"]["name"]]
    seen = look.observe(KEY, cached(READY), look_closer=False)
    assert seen.summary_problem != "connection refused"
    assert gone not in (seen.service, *seen.secrets.values())


@pytest.mark.parametrize(
    ("owners", "seen"),
    [
        (SERVICE["metadata"]["ownerReferences"], True),
        ([], True),
        ([{"kind": "Backup", "uid": "theirs"}], True),
        ([{"kind": "NASSearch", "uid": "earlier"}], False),
        ([{"kind": "CronJob", "uid": "theirs", "controller": True}], False),
    ],
    ids=["owned", "orphan", "orphan with another owner", "of an earlier search", "of another controller"],
)
def test_workers_of_the_search_and_those_that_lost_their_owner_are_seen(owners: list[Object], seen: bool) -> None:
    metadata = {"name": "worker", "uid": "job", "labels": labels("digits", "worker"), "ownerReferences": owners}
    found = observer(Answers()).observe(KEY, cached({"kind": "Job", "metadata": metadata}), look_closer=False)
    assert ("worker" in found.jobs) == seen


def test_of_events_of_claims_only_those_of_the_journal_are_the_search_s() -> None:
    """Another search may be named `my-digits`."""
    mine = warning("PersistentVolumeClaim", CLAIM)
    others = warning("PersistentVolumeClaim", journal_claim_name("my-digits")), warning("Pod", CLAIM)
    theirs = warning("PersistentVolumeClaim", "data-my-digits-controller-0")
    seen = observer(Answers(warnings=(*others, mine, theirs))).observe(KEY, cached(), look_closer=True)
    assert seen.warnings == (mine,)
