"""Whether an object is as the operator wants it, told by the digest in its annotation and by its replicas."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_operator.observed import Object
from nas_operator.resources.applied import digest, is_applied, stamped
from nas_operator.resources.controller import build_service
from nas_operator.resources.manifest import build_manifest
from nas_operator.resources.network import build_network_policies
from nas_operator.resources.owner import owned_metadata

from tests.unit.operator.resources.searches import SETTINGS, edited, search_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


def an_object(spec: object, uid: str = "first") -> Object:
    return {"metadata": owned_metadata(search_of(uid=uid), "digits", "network"), "spec": {"of": spec}}


@given(json_values)
def test_an_object_that_was_applied_is_applied(spec: object) -> None:
    manifest = stamped(an_object(spec))
    # What a cluster adds does not count.
    observed = copy.deepcopy(manifest)
    observed["metadata"]["resourceVersion"] = "7"
    observed["spec"]["clusterIP"] = "10.96.0.7"
    assert is_applied(manifest, observed)


@given(json_values, json_values)
def test_another_object_is_not(one: object, other: object) -> None:
    same = digest(one) == digest(other)
    assert is_applied(stamped(an_object(one)), stamped(an_object(other))) == same


def test_what_is_not_there_or_was_made_by_another_is_not() -> None:
    manifest = stamped(an_object("spec"))
    assert not is_applied(manifest, None)
    assert not is_applied(manifest, an_object("spec"))


@pytest.mark.parametrize("inputs", [None, ["inputs"]])
def test_what_belongs_to_an_earlier_search_of_the_same_name_is_not(inputs: list[str] | None) -> None:
    mine, earlier = (stamped(an_object("spec", uid), inputs) for uid in ("second", "first"))
    assert not is_applied(mine, earlier)


def test_with_inputs_only_they_count() -> None:
    before = stamped(an_object("of an old operator"), inputs=["image"])
    assert is_applied(stamped(an_object("of a new operator"), inputs=["image"]), before)
    assert not is_applied(stamped(an_object("of an old operator"), inputs=["another image"]), before)


def test_an_object_that_was_scaled_by_hand_is_not_applied() -> None:
    manifest = stamped(
        {"metadata": owned_metadata(search_of(), "digits", "controller"), "spec": {"replicas": 1}}, ["x"]
    )
    assert not is_applied(manifest, manifest | {"spec": {"replicas": 0}})


SERVICE = build_service(search_of())
POLICY, _ = build_network_policies(search_of(), SETTINGS)
CONFIG_MAP = build_manifest(search_of())


@pytest.mark.parametrize(
    ("manifest", "path", "value"),
    [
        (SERVICE, "spec.selector", {"app": "another"}),
        (SERVICE, "spec.ports", []),
        (SERVICE, "spec.ports.0.targetPort", 1),
        (POLICY, "spec.ingress.0.from", []),
        (POLICY, "spec.ingress", [*POLICY["spec"]["ingress"], {}]),
        (POLICY, "spec.policyTypes", ["Egress"]),
        (CONFIG_MAP, "data", {}),
        (CONFIG_MAP, "data", {"search.yaml": "spec: {}"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_somebody_has_changed_by_hand_is_not_applied(manifest: Object, path: str, value: object) -> None:
    assert is_applied(manifest, copy.deepcopy(manifest))
    assert not is_applied(manifest, edited(manifest, path, value))


def test_defaults_of_the_api_server_and_ports_of_other_managers_do_not_count() -> None:
    there = edited(SERVICE, "spec.sessionAffinity", "None")
    there["spec"]["ports"] = [{"name": "theirs", "port": 1}, there["spec"]["ports"][0] | {"nodePort": 30_000}]
    assert is_applied(SERVICE, there)
    assert is_applied(POLICY, edited(POLICY, "spec.ingress.0.ports.0.endPort", 50_060))


def test_stamping_keeps_other_annotations_and_changes_nothing_in_place() -> None:
    manifest = an_object("spec")
    manifest["metadata"]["annotations"] = {"kept": "yes"}
    before = copy.deepcopy(manifest)
    assert stamped(manifest)["metadata"]["annotations"]["kept"] == "yes"
    assert manifest == before


def test_the_owner_may_be_deleted_first_and_is_the_only_one() -> None:
    search = search_of()
    [reference] = owned_metadata(search, "digits-spot", "pool")["ownerReferences"]
    assert reference["uid"] == search.metadata.uid
    assert reference["controller"]
    assert not reference["blockOwnerDeletion"]
