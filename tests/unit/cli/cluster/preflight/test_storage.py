"""Volumes: who makes the journal's, and whether all workers can mount those with data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from nas_cli.cluster.preflight.check import Check, Outcome, Unread
from nas_cli.cluster.preflight.storage import Storage, check_data, check_journal, storage_class

from tests.unit.cli.cluster.preflight.objects import Object, demand, gpu_pool, named

NOTHING = Storage([], [], [], [])
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}
CLAIM = "journal-digits-controller-0"


def class_of(name: str, provisioner: str = "csi.example", *, default: bool = False) -> Object:
    found = named(name, provisioner=provisioner)
    found["metadata"]["annotations"] = DEFAULT if default else {}
    return found


def volume(size: str = "2Gi", mode: str = "ReadWriteOncePod", **spec: Any) -> Object:
    return named("pv", spec={"capacity": {"storage": size}, "accessModes": [mode], **spec},
                 status={"phase": "Available"})  # fmt: skip


def claim(name: str, phase: str, *modes: str) -> Object:
    return named(name, spec={"accessModes": list(modes)}, status={"phase": phase})


def journal(known: Storage, storage: Object | None = None) -> Check:
    return check_journal(demand({"controller": {"storage": storage or {}}}), known)


def test_the_default_class_makes_the_volume() -> None:
    classes = [class_of("slow"), class_of("fast", default=True)]
    known = replace(NOTHING, classes=classes, drivers=[named("csi.example")])
    check = journal(known)
    assert (check.outcome, check.message) == (Outcome.OK, "fast (csi.example) makes it, 2Gi, ReadWriteOncePod")
    assert storage_class(demand(), known) == "fast"


def test_a_class_that_is_not_there_fails() -> None:
    check = journal(replace(NOTHING, classes=[class_of("slow")]), {"storageClassName": "fast"})
    assert check.outcome is Outcome.FAILED
    assert check.message == "there is no storage class fast; there are slow"


def test_a_provisioner_that_is_no_csi_driver_may_not_know_the_access_mode() -> None:
    known = replace(NOTHING, classes=[class_of("local", "rancher.io/local-path", default=True)])
    assert journal(known).outcome is Outcome.WARNING
    assert "accessMode: ReadWriteOnce" in journal(known).advice
    assert journal(known, {"accessMode": "ReadWriteOnce"}).outcome is Outcome.OK


@pytest.mark.parametrize("classes", [[], [class_of("by-hand", "kubernetes.io/no-provisioner", default=True)]])
def test_without_a_provisioner_a_volume_must_be_free_that_fits(classes: Sequence[Object]) -> None:
    spec = {"storageClassName": "by-hand"} if classes else {}
    known = replace(NOTHING, classes=classes)
    assert journal(known).outcome is Outcome.FAILED
    assert journal(replace(known, volumes=[volume(**spec)])).outcome is Outcome.OK
    mine = {"claimRef": {"namespace": "team", "name": CLAIM}}
    assert journal(replace(known, volumes=[volume(**spec, **mine)])).outcome is Outcome.OK
    for unfit in (
        volume("1Gi", **spec),
        volume(mode="ReadWriteOnce", **spec),
        volume(storageClassName="other"),
        volume(claimRef={"namespace": "team", "name": "other"}, **spec),
        volume(**spec) | {"status": {"phase": "Released"}},
    ):
        assert journal(replace(known, volumes=[unfit])).outcome is Outcome.FAILED


def test_a_claim_that_is_there_is_taken_up_again() -> None:
    check = journal(replace(NOTHING, claims=[claim(CLAIM, "Bound", "ReadWriteOncePod")]))
    assert check.outcome is Outcome.OK
    assert "goes on with the journal in it" in check.message
    assert journal(replace(NOTHING, claims=[claim(CLAIM, "Pending")])).outcome is Outcome.WARNING


def test_what_may_not_be_read_is_told() -> None:
    check = journal(replace(NOTHING, classes=Unread("you may not list storage classes")))
    assert (check.outcome, check.message) == (Outcome.WARNING, "cannot be told: you may not list storage classes")


def data(claims: Sequence[Object] | Unread, replicas: int = 2, *, read_only: bool = True) -> Check:
    trainer = {"volumes": [{"claimName": "images", "mountPath": "/data", "readOnly": read_only}]}
    wanted = demand({"trainer": trainer, "pools": [gpu_pool(replicas)]})
    (check,) = check_data(wanted, replace(NOTHING, claims=claims))
    return check


def test_a_claim_with_data_must_be_there() -> None:
    check = data([])
    assert (check.outcome, check.name) == (Outcome.FAILED, "data volume images")
    assert check.message == "there is no PersistentVolumeClaim images"
    assert check_data(demand(), NOTHING) == []


@pytest.mark.parametrize(
    ("mode", "replicas", "read_only", "outcome"),
    [
        ("ReadOnlyMany", 2, True, Outcome.OK),
        ("ReadWriteMany", 2, False, Outcome.OK),
        ("ReadWriteOnce", 1, False, Outcome.OK),
        ("ReadWriteOnce", 2, True, Outcome.WARNING),
        ("ReadOnlyMany", 2, False, Outcome.FAILED),
        ("ReadWriteOncePod", 2, True, Outcome.FAILED),
        ("ReadWriteOncePod", 1, True, Outcome.OK),
    ],
)
def test_all_workers_must_be_able_to_mount_it(mode: str, replicas: int, read_only: bool, outcome: Outcome) -> None:
    assert data([claim("images", "Bound", mode)], replicas, read_only=read_only).outcome is outcome


def test_a_claim_without_a_volume_yet_has_no_data_in_it() -> None:
    assert data([claim("images", "Pending", "ReadWriteMany")]).outcome is Outcome.WARNING
    assert data([claim("images", "Lost", "ReadWriteMany")]).outcome is Outcome.FAILED
    assert data(Unread("you may not list claims of volumes")).outcome is Outcome.WARNING
