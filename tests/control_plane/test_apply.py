"""How actions end on a real API server: written, repeated, out of date, or refused in words."""

import copy
import json
from collections.abc import Iterator

import pytest
from kubernetes.client import Configuration
from kubernetes.config import load_kube_config
from nas_api.spec import NASSearch
from nas_operator.actions import Annotate, Apply, Create, Delete, Emit, WriteStatus
from nas_operator.apply import Applier, ChangedError, RefusedError
from nas_operator.cache import Cache, Key
from nas_operator.controller_client import ControllerClient, ControllerError
from nas_operator.events import EventRecorder
from nas_operator.kubernetes_api import ApiError, KubernetesApi
from nas_operator.names import SEARCH_LABEL, labels
from nas_operator.observed import Object, Observed
from nas_operator.resources.manifest import build_manifest
from nas_operator.resources.pool import build_pool

from tests.cluster.cluster import Cluster
from tests.control_plane.custom_resources import install_crds
from tests.control_plane.searches import digits

UID_OF_NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def api(control_plane: Cluster) -> Iterator[KubernetesApi]:
    install_crds(control_plane)
    configuration = Configuration()
    load_kube_config(str(control_plane.kubeconfig), client_configuration=configuration)
    api = KubernetesApi(configuration)
    yield api
    api.close()


@pytest.fixture
def search(api: KubernetesApi, namespace: str) -> Object:
    manifest = digits()
    manifest["metadata"]["namespace"] = namespace
    return api.create(manifest)


def unreachable() -> ControllerError:
    raise ControllerError("there is no controller")


def applier(api: KubernetesApi, search: Object, **observed: object) -> Applier:
    key = Key(search["metadata"]["namespace"], search["metadata"]["name"])
    seen = Observed(search, **observed)  # type: ignore[arg-type]
    return Applier(api, ControllerClient(), EventRecorder(api), key, seen, unreachable)  # type: ignore[arg-type]


def manifest_of(search: Object) -> Object:
    return build_manifest(NASSearch.model_validate(search))


def job_of(search: Object, name: str = "worker") -> Object:
    container = {"name": "main", "image": "none"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": manifest_of(search)["metadata"] | {"name": name, "annotations": {}},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


def test_an_object_is_applied_and_applied_again(api: KubernetesApi, search: Object) -> None:
    target = applier(api, search)
    target.carry_out(Apply(manifest_of(search)))
    target.carry_out(Apply(manifest_of(search)))
    first, second = (written.now for written in target.written)
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    [manager] = second["metadata"]["managedFields"]
    assert (manager["manager"], manager["operation"]) == ("kubenas-operator", "Apply")


def test_what_another_has_written_is_overwritten_where_it_is_ours(api: KubernetesApi, search: Object) -> None:
    wanted = manifest_of(search)
    applier(api, search).carry_out(Apply(wanted))
    name, namespace = wanted["metadata"]["name"], search["metadata"]["namespace"]
    api.merge("ConfigMap", namespace, name, {"data": {"search.yaml": "mine", "note": "theirs"}})
    applier(api, search).carry_out(Apply(wanted))
    found = api.get("ConfigMap", namespace, name)
    assert found is not None
    assert found["data"] == wanted["data"] | {"note": "theirs"}


def test_an_object_that_was_changed_meanwhile_makes_the_plan_out_of_date(api: KubernetesApi, search: Object) -> None:
    model = NASSearch.model_validate(search)
    [pool] = model.spec.pools
    target = applier(api, search)
    target.carry_out(Apply(build_pool(model, pool, 1, "child:1")))
    seen = target.written[-1].now
    namespace, name = search["metadata"]["namespace"], seen["metadata"]["name"]
    api.merge("NASPool", namespace, name, {"spec": {"replicas": 7}})  # somebody scales it
    wanted = build_pool(model, pool, 2, "child:1")
    wanted["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"]
    with pytest.raises(ChangedError, match=f"NASPool {name} was changed meanwhile"):
        applier(api, search, pools={name: seen}).carry_out(Apply(wanted))
    found = api.get("NASPool", namespace, name)
    assert found is not None
    assert found["spec"]["replicas"] == 7


def test_a_job_that_is_there_already_is_taken_as_made(api: KubernetesApi, search: Object) -> None:
    target = applier(api, search)
    target.carry_out(Create(job_of(search)))
    target.carry_out(Create(job_of(search)))
    assert len({written.now["metadata"]["uid"] for written in target.written}) == 1


@pytest.mark.parametrize("action", [Apply, Create])
def test_what_was_not_made_for_the_search_is_not_taken_over(
    action: type[Apply | Create], api: KubernetesApi, search: Object
) -> None:
    theirs = job_of(search) if action is Create else manifest_of(search)
    metadata = {"name": theirs["metadata"]["name"], "namespace": search["metadata"]["namespace"]}
    api.create(theirs | {"metadata": metadata})
    words = f"there is a {theirs['kind']} {metadata['name']} that was not made for this search"
    with pytest.raises(RefusedError, match=words):
        applier(api, search).carry_out(action(theirs))


def test_the_objects_of_an_earlier_search_of_the_name_are_waited_for(api: KubernetesApi, search: Object) -> None:
    """One that is still there, so that the garbage collector takes its time."""
    namespace = search["metadata"]["namespace"]
    earlier = api.create(digits() | {"metadata": {"name": "earlier", "namespace": namespace}})
    old = manifest_of(search)
    old["metadata"]["ownerReferences"][0] |= {"name": "earlier", "uid": earlier["metadata"]["uid"]}
    api.create(old)
    with pytest.raises(ChangedError, match="of an earlier search of this name has not been deleted yet"):
        applier(api, search).carry_out(Apply(manifest_of(search)))


def test_an_object_that_has_lost_its_owner_is_taken_over(api: KubernetesApi, search: Object) -> None:
    """As after `kubectl delete --cascade=orphan`, or from a back-up."""
    wanted = manifest_of(search)
    orphan = copy.deepcopy(wanted)
    del orphan["metadata"]["ownerReferences"]
    api.create(orphan)
    target = applier(api, search)
    target.carry_out(Apply(wanted))
    owners = [owner["uid"] for owner in target.written[-1].now["metadata"]["ownerReferences"]]
    assert owners == [search["metadata"]["uid"]]


def test_an_orphan_that_another_controller_has_adopted_is_let_be(api: KubernetesApi, search: Object) -> None:
    metadata = {"name": "theirs", "namespace": search["metadata"]["namespace"]}
    adopter = api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    theirs = manifest_of(search)
    # One that is not there would have the object collected as garbage.
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": adopter["metadata"]["uid"]}
    theirs["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    api.create(theirs)
    with pytest.raises(RefusedError, match="was not made for this search"):
        applier(api, search).carry_out(Apply(manifest_of(search)))


@pytest.mark.parametrize("action", [Apply, Create])
def test_what_another_search_has_under_the_same_name_is_not_to_be_deleted(
    action: type[Apply | Create], api: KubernetesApi, search: Object
) -> None:
    """As with pool c of the search a-b, and pool b-c of the search a."""
    another = digits()
    another["metadata"] = {"name": "another", "namespace": search["metadata"]["namespace"]}
    owner = api.create(another)["metadata"]
    wanted = job_of(search) if action is Create else manifest_of(search)
    theirs = copy.deepcopy(wanted)
    theirs["metadata"]["labels"][SEARCH_LABEL] = "another"
    theirs["metadata"]["ownerReferences"][0] |= {"name": "another", "uid": owner["uid"]}
    api.create(theirs)
    with pytest.raises(RefusedError, match=r"of the NASSearch another.* give this search or its pool another name$"):
        applier(api, search).carry_out(action(wanted))


def test_only_the_very_object_is_deleted(api: KubernetesApi, search: Object) -> None:
    job = api.create(job_of(search))
    namespace = search["metadata"]["namespace"]
    applier(api, search).carry_out(Delete("Job", "worker", UID_OF_NOBODY))
    assert api.get("Job", namespace, "worker") is not None
    target = applier(api, search)
    target.carry_out(Delete("Job", "worker", job["metadata"]["uid"]))
    target.carry_out(Delete("Job", "worker", job["metadata"]["uid"]))
    assert api.get("Job", namespace, "worker") is None

    cache = Cache()
    cache.put("Job", job)
    for written in target.written:
        cache.remove(written.kind, written.now)
    assert cache.count() == 0


def test_annotations_are_set_and_removed(api: KubernetesApi, search: Object) -> None:
    api.create(job_of(search))
    target = applier(api, search)
    target.carry_out(Annotate("Job", "worker", {"kubenas.dev/a": "1", "kubenas.dev/b": "2"}))
    target.carry_out(Annotate("Job", "worker", {"kubenas.dev/a": None}))
    assert target.written[-1].now["metadata"]["annotations"] == {"kubenas.dev/b": "2"}
    with pytest.raises(ApiError, match="not found"):
        target.carry_out(Annotate("Job", "none", {"a": "b"}))


def test_a_status_replaces_the_one_before(api: KubernetesApi, search: Object) -> None:
    target = applier(api, search)
    target.carry_out(WriteStatus("NASSearch", "digits", {"updates": 1, "trials": {"finished": 3}}))
    target.carry_out(WriteStatus("NASSearch", "digits", {"updates": 2}))
    assert target.written[-1].now["status"] == {"updates": 2}
    assert target.written[-1].now["spec"] == search["spec"]
    api.delete("NASSearch", search["metadata"]["namespace"], "digits", search["metadata"]["uid"])
    with pytest.raises(ChangedError, match="is gone"):
        target.carry_out(WriteStatus("NASSearch", "digits", {"updates": 3}))


def test_an_invalid_object_is_refused_in_the_words_of_the_api_server(api: KubernetesApi, search: Object) -> None:
    job = job_of(search)
    job["spec"]["parallelism"] = -1
    with pytest.raises(ApiError, match="parallelism") as refused:
        applier(api, search).carry_out(Create(job))
    assert (refused.value.status, refused.value.reason) == (422, "Invalid")


def test_a_repeated_event_is_counted_also_by_another_operator(
    api: KubernetesApi, search: Object, control_plane: Cluster
) -> None:
    for _ in range(3):
        applier(api, search).carry_out(Emit("Warning", "ActionRefused", "over quota"))
    applier(api, search).carry_out(Emit("Warning", "ActionRefused", "x" * 5000))
    namespace = search["metadata"]["namespace"]
    events, _ = api.list("Event", namespace, field_selector="involvedObject.kind=NASSearch")
    counts = {event["message"][:10]: (event.get("series") or {}).get("count") for event in events}
    assert counts == {"over quota": 3, "x" * 10: None}
    described = control_plane.kubectl("--namespace", namespace, "describe", "nassearch", "digits")
    assert "(x3 over" in described


def test_a_list_of_many_pages_is_one_list(api: KubernetesApi, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas_operator.kubernetes_api._PAGE", 3)
    for number in range(8):
        metadata = {"name": f"map-{number}", "namespace": namespace, "labels": labels("digits", "result")}
        api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}})
    listed, version = api.list("ConfigMap", namespace, "kubenas.dev/search=digits")
    assert [found["metadata"]["name"] for found in listed] == [f"map-{number}" for number in range(8)]
    assert all(found["kind"] == "ConfigMap" and found["apiVersion"] == "v1" for found in listed)
    assert version >= max(int(found["metadata"]["resourceVersion"]) for found in listed)
    assert "managedFields" not in json.dumps(listed)


def test_a_namespace_on_its_way_out_is_not_a_refusal(
    api: KubernetesApi, search: Object, control_plane: Cluster
) -> None:
    namespace = search["metadata"]["namespace"]
    metadata = {"name": "holds", "namespace": namespace, "finalizers": ["kubenas.dev/test"]}
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
    try:
        with pytest.raises(ApiError) as refused:
            applier(api, search).carry_out(Create(job_of(search)))
        assert "NamespaceTerminating" in refused.value.causes
    finally:
        api.merge("ConfigMap", namespace, "holds", {"metadata": {"finalizers": None}})
