"""What an API server and the controllers of Kubernetes make of the objects that the operator builds."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nas_api.certificates import CertificateAuthority
from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch
from nas_operator.actions import IssueCertificate
from nas_operator.names import FIELD_MANAGER
from nas_operator.observed import Object
from nas_operator.resources.applied import is_applied
from nas_operator.resources.best import build_best
from nas_operator.resources.certificates import (
    AUTHORITY_LIFETIME,
    build_authority,
    build_certificate,
    plan_certificates,
)
from nas_operator.resources.controller import build_service, build_stateful_set
from nas_operator.resources.manifest import build_manifest
from nas_operator.resources.network import build_network_policies
from nas_operator.resources.owner import owner_reference
from nas_operator.resources.pool import build_pool
from nas_operator.resources.worker import build_job

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.control_plane.custom_resources import wait_until_served
from tests.unit.operator.resources.searches import FULL_SPEC, SETTINGS, edited

CRDS = sorted((Path(__file__).parents[2] / "manifests/crds").glob("*.yaml"))
TRIAL = pb.Trial(trial_id=3, state="Succeeded", reward=0.5, architecture='{"anything": 1}', finished_at=1.7e9)


@pytest.fixture(scope="module", autouse=True)
def kinds(control_plane: Cluster) -> None:
    """Our kinds, and classes that the manifests of these tests name."""
    for crd in CRDS:
        control_plane.kubectl("apply", "--server-side", "-f", crd)
    wait_until_served(control_plane)
    control_plane.apply(
        *(
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value}
            for name, value in (("high", 100), ("low", -100))
        ),
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "nvidia"},
            "handler": "nvidia",
        },
    )


@pytest.fixture
def restricted(control_plane: Cluster, namespace: str) -> str:
    """A namespace that admits only pods of the 'restricted' Pod Security Standard."""
    control_plane.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    return namespace


def create_search(cluster: Cluster, namespace: str, spec: dict[str, Any], name: str = "digits") -> NASSearch:
    metadata = {"name": name, "namespace": namespace}
    document = {"apiVersion": "kubenas.dev/v1alpha1", "kind": "NASSearch", "metadata": metadata, "spec": spec}
    cluster.kubectl("create", "--validate=strict", "-f", "-", input=json.dumps(document))
    return read_search(cluster, namespace, name)


def read_search(cluster: Cluster, namespace: str, name: str = "digits") -> NASSearch:
    observed = cluster.kubectl("--namespace", namespace, "get", "nassearch", name, "-o", "json")
    return NASSearch.model_validate_json(observed, by_alias=True, by_name=False)


def apply(cluster: Cluster, manifest: Object) -> Object:
    """Applies as the operator does, with every unknown field an error. Returns the object."""
    answer = cluster.kubectl(
        *("apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}"),
        *("--validate=strict", "-o", "json", "-f", "-"),
        input=json.dumps(manifest),
    )
    return dict(json.loads(answer))


def stateful_set_of(search: NASSearch, observed: Object | None = None) -> Object:
    return build_stateful_set(search, SETTINGS, "controller:1", 1, observed)


def job_of(search: NASSearch, pool: int = 0) -> Object:
    return build_job(search, search.spec.pools[pool], 0, "worker:1", SETTINGS)


def secrets_of(search: NASSearch) -> Iterator[Object]:
    authority = CertificateAuthority.create(search.full_name, AUTHORITY_LIFETIME)
    yield build_authority(search, authority)
    for action in plan_certificates(search, {}, datetime.now(UTC), timedelta(days=90)):
        if isinstance(action, IssueCertificate):
            yield build_certificate(
                search, action.secret, authority.issue(action.identity, action.dns_names, lifetime=action.lifetime)
            )


def everything(search: NASSearch) -> list[Object]:
    return [
        build_manifest(search),
        *secrets_of(search),
        build_service(search),
        *build_network_policies(search, SETTINGS),
        stateful_set_of(search),
        *(build_pool(search, pool, pool.replicas, "worker:1") for pool in search.spec.pools),
        *(job_of(search, index) for index in range(len(search.spec.pools))),
        build_best(search, TRIAL, None),
    ]


def pods_of(cluster: Cluster, namespace: str, component: str) -> list[Object]:
    selector = f"app.kubernetes.io/component={component}"
    return list(cluster.kubectl_json("--namespace", namespace, "get", "pods", "--selector", selector)["items"])


def end_pod(cluster: Cluster, namespace: str, pod: Object, exit_code: int) -> None:
    """Says, as a kubelet would, that the container of a pod has ended."""
    ended = {"exitCode": exit_code, "reason": "Error", "finishedAt": datetime.now(UTC).isoformat(timespec="seconds")}
    container = pod["spec"]["containers"][0]
    status = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0}
    cluster.kubectl(
        *("--namespace", namespace, "patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge"),
        *(
            "-p",
            json.dumps(
                {"status": {"phase": "Failed", "containerStatuses": [status | {"state": {"terminated": ended}}]}}
            ),
        ),
    )


# The API server. ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [{}, FULL_SPEC], ids=["plain", "full"])
def test_every_object_is_valid_and_applying_it_again_changes_nothing(
    control_plane: Cluster, restricted: str, spec: dict[str, Any]
) -> None:
    for manifest in everything(create_search(control_plane, restricted, spec)):
        first = apply(control_plane, manifest)
        again = apply(control_plane, manifest)
        if manifest["kind"] != "Secret":  # their certificates are looked at instead
            assert is_applied(manifest, first)
        # Controllers write the status meanwhile.
        assert again["spec" if "spec" in again else "data"] == first["spec" if "spec" in first else "data"]
        assert again["metadata"].get("generation") == first["metadata"].get("generation")


@pytest.mark.parametrize("spec", [{}, FULL_SPEC], ids=["plain", "full"])
def test_pods_are_admitted_where_pods_must_be_restricted(
    control_plane: Cluster, restricted: str, spec: dict[str, Any]
) -> None:
    search = create_search(control_plane, restricted, spec)
    for manifest in (stateful_set_of(search), *(job_of(search, index) for index in range(len(search.spec.pools)))):
        apply(control_plane, manifest)
    control_plane.wait_for(lambda: pods_of(control_plane, restricted, "controller"), "the controller's pod")
    control_plane.wait_for(
        lambda: len(pods_of(control_plane, restricted, "worker")) == len(search.spec.pools), "the workers' pods"
    )


def test_where_there_are_traces_objects_are_valid_and_pods_admitted(control_plane: Cluster, restricted: str) -> None:
    endpoint = "http://collector.observability.svc:4317"
    settings = SETTINGS.model_copy(update={"tracing_endpoint": endpoint, "tracing_ratio": 0.1})
    search = create_search(
        control_plane, restricted, {"trainer": {"environment": {"OTEL_TRACES_SAMPLER": "always_on"}}}
    )
    apply(control_plane, build_stateful_set(search, settings, "controller:1", 1))
    apply(control_plane, build_job(search, search.spec.pools[0], 0, "worker:1", settings))
    for component, sampler in (("controller", "parentbased_traceidratio"), ("worker", "always_on")):
        control_plane.wait_for(partial(pods_of, control_plane, restricted, component), f"the {component}'s pod")
        [pod] = pods_of(control_plane, restricted, component)
        variables = {variable["name"]: variable.get("value") for variable in pod["spec"]["containers"][0]["env"]}
        assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint
        assert variables["OTEL_TRACES_SAMPLER"] == sampler
    for policy in build_network_policies(search, settings):
        applied = apply(control_plane, policy)
        namespaces = [
            peer.get("namespaceSelector") for rule in applied["spec"]["egress"] for peer in rule.get("to", ())
        ]
        assert {"matchLabels": {"kubernetes.io/metadata.name": "observability"}} in namespaces


def test_a_search_may_have_the_longest_names_and_begin_with_a_digit(control_plane: Cluster, namespace: str) -> None:
    search = create_search(control_plane, namespace, {"pools": [{"name": "p" * 63}]}, name="2" + "s" * 51)
    for manifest in everything(search):
        apply(control_plane, manifest)
    control_plane.wait_for(lambda: pods_of(control_plane, namespace, "controller"), "the controller's pod")
    control_plane.wait_for(lambda: pods_of(control_plane, namespace, "worker"), "the worker's pod")


def test_defaults_that_the_api_server_writes_out_are_not_in_the_manifest(
    control_plane: Cluster, namespace: str
) -> None:
    search = create_search(control_plane, namespace, {"budget": {"maxTrials": 7}})
    assert "maxTrials: 7" in build_manifest(search)["data"]["search.yaml"]
    assert "policy" not in build_manifest(search)["data"]["search.yaml"]


# Edits. -------------------------------------------------------------------------------------------------------------


def test_a_stateful_set_can_be_applied_whatever_becomes_of_the_storage_in_the_manifest(
    control_plane: Cluster, namespace: str
) -> None:
    search = create_search(control_plane, namespace, {})
    observed = apply(control_plane, stateful_set_of(search))
    spec = search.model_dump(mode="json", by_alias=True)["spec"]
    spec = edited(edited(spec, "controller.storage.size", "9Gi"), "budget.maxTrials", 7)
    changed = NASSearch.model_validate(search.model_dump(by_alias=True) | {"spec": spec})
    with pytest.raises(CommandError, match="updates to statefulset spec"):
        apply(control_plane, stateful_set_of(changed))
    manifest = stateful_set_of(changed, observed)
    assert not is_applied(manifest, observed)
    assert is_applied(manifest, apply(control_plane, manifest))


def test_a_controller_that_never_gets_ready_is_replaced_by_one_with_another_image(
    control_plane: Cluster, namespace: str
) -> None:
    search = create_search(control_plane, namespace, {})
    apply(control_plane, build_stateful_set(search, SETTINGS, "controller:broken", 1))
    control_plane.wait_for(lambda: pods_of(control_plane, namespace, "controller"), "the controller's pod")
    apply(control_plane, build_stateful_set(search, SETTINGS, "controller:mended", 1))

    def images() -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pod in pods_of(control_plane, namespace, "controller")}

    control_plane.wait_for(lambda: images() == {"controller:mended"}, "a pod with the image that was mended")


def test_scaling_a_pool_leaves_nothing_to_apply(control_plane: Cluster, namespace: str) -> None:
    search = create_search(control_plane, namespace, {})
    [pool] = search.spec.pools
    apply(control_plane, build_pool(search, pool, 1, "worker:1"))
    control_plane.kubectl("--namespace", namespace, "scale", "naspool", "digits-default", "--replicas=5")
    observed = control_plane.kubectl_json("--namespace", namespace, "get", "naspool", "digits-default")
    assert is_applied(build_pool(search, pool, observed["spec"]["replicas"], "worker:1"), observed)


# Workers that end. --------------------------------------------------------------------------------------------------


def test_a_worker_that_cannot_work_fails_its_job_and_one_that_crashes_is_replaced(
    control_plane: Cluster, namespace: str
) -> None:
    search = create_search(control_plane, namespace, {"pools": [{"name": "unusable"}, {"name": "crashing"}]})
    jobs = {name: apply(control_plane, job_of(search, index)) for index, name in enumerate(("unusable", "crashing"))}

    def pod_of(pool: str) -> Object | None:
        pods = pods_of(control_plane, namespace, "worker")
        alive = (pod for pod in pods if pod["status"]["phase"] == "Pending")
        return next((pod for pod in alive if pod["metadata"]["labels"]["kubenas.dev/pool"] == pool), None)

    def conditions(pool: str) -> dict[str, str]:
        job = control_plane.kubectl_json("--namespace", namespace, "get", "job", jobs[pool]["metadata"]["name"])
        return {c["type"]: c["reason"] for c in job["status"].get("conditions", ()) if c["status"] == "True"}

    crashed = control_plane.wait_for(lambda: pod_of("crashing"), "the pod that will crash")
    end_pod(control_plane, namespace, crashed, exit_code=1)
    end_pod(control_plane, namespace, control_plane.wait_for(lambda: pod_of("unusable"), "the other pod"), exit_code=78)
    control_plane.wait_for(lambda: conditions("unusable").get("Failed") == "PodFailurePolicy", "the Job to have failed")
    # After ten seconds, the first time.
    control_plane.wait_for(lambda: pod_of("crashing"), "a pod in the place of the one that crashed")
    assert conditions("crashing") == {}


# The end. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_with_the_search_everything_goes_and_the_journal_stays_unless_it_is_given_to_the_search(
    control_plane: Cluster, namespace: str, policy: str
) -> None:
    search = create_search(control_plane, namespace, {"deletionPolicy": policy})
    for manifest in everything(search):
        apply(control_plane, manifest)

    def claims() -> list[Object]:
        return list(control_plane.kubectl_json("--namespace", namespace, "get", "persistentvolumeclaims")["items"])

    control_plane.wait_for(lambda: pods_of(control_plane, namespace, "controller"), "the controller's pod")
    control_plane.wait_for(lambda: len(claims()) == 1, "the claim for the journal")
    assert not claims()[0]["metadata"].get("ownerReferences")
    if policy == "Delete":
        owned = {"metadata": {"ownerReferences": [owner_reference(search)]}}
        claim = ("persistentvolumeclaim", claims()[0]["metadata"]["name"])
        control_plane.kubectl("--namespace", namespace, "patch", *claim, "--type=merge", f"--patch={json.dumps(owned)}")
    control_plane.kubectl("--namespace", namespace, "delete", "nassearch", "digits")

    def remaining() -> list[str]:
        kinds = "configmaps,secrets,services,networkpolicies,statefulsets,naspools,jobs,pods,persistentvolumeclaims"
        selector = "kubenas.dev/search=digits"
        found = control_plane.kubectl("--namespace", namespace, "get", kinds, "--selector", selector, "-o", "name")
        return found.split()

    expected = ["persistentvolumeclaim/journal-digits-controller-0"] if policy == "Retain" else []
    # The garbage collector looks for new kinds, as ours may be, every half minute, and then for owners that are gone.
    control_plane.wait_for(lambda: remaining() == expected, f"nothing but {expected} to remain", timeout=240)
