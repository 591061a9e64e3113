"""What the operator may do, and what users may do: enough, and no more."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client, config
from nas_api.certificates import CertificateAuthority
from nas_api.spec import NASSearch
from nas_operator.names import FIELD_MANAGER
from nas_operator.resources.certificates import build_authority
from nas_operator.resources.controller import build_service, build_stateful_set
from nas_operator.resources.manifest import build_manifest
from nas_operator.resources.network import build_network_policies
from nas_operator.resources.owner import owner_reference
from nas_operator.resources.pool import build_pool
from nas_operator.resources.worker import build_job
from nas_operator.settings import Settings

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.control_plane.custom_resources import Object, pool, search
from tests.control_plane.rights import install_rights, rendered

SETTINGS = Settings(controller_image="controller:1", child_image="child:1")


@pytest.fixture
def operator(cluster: Cluster, namespace: str) -> str:
    """The operator's user name, when it is installed for the namespace alone."""
    install_rights(cluster, namespace, f"watchNamespaces={{{namespace}}}", "rbac.userRoles=false")
    user = f"system:serviceaccount:{namespace}:{namespace}"
    # The API server knows of them a moment after they are there.
    cluster.wait_for(lambda: may(cluster, user, namespace, "list", "nassearches"), "the rights of the operator")
    return user


def may(cluster: Cluster, user: str, namespace: str, verb: str, resource: str) -> bool:
    """Whether a user may do something in a namespace. The resource is written `secrets` or `naspools/scale`."""
    name, _, subresource = resource.partition("/")
    if name in ("nassearches", "naspools"):
        name += ".kubenas.dev"
    arguments = ["auth", "can-i", verb, name, f"--subresource={subresource}", "--as", user, "--namespace", namespace]
    try:
        return cluster.kubectl(*arguments).strip() == "yes"
    except CommandError as error:
        # It answers no, and exits with 1.
        if "\nno\n" not in f"{error}\n":
            raise
        return False


@pytest.mark.parametrize("values", [(), ("watchNamespaces={a,b}",)], ids=["cluster", "namespaces"])
def test_no_rule_has_a_wildcard_or_a_verb_that_gives_more_rights(values: tuple[str, ...], cluster: Cluster) -> None:
    rules = [rule for found in rendered(cluster, "kubenas-system", *values) for rule in found.get("rules", ())]
    assert rules
    for rule in rules:
        for granted in (rule["apiGroups"], rule["resources"], rule["verbs"]):
            assert granted
            assert not any("*" in name for name in granted)
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
        if "secrets" in rule["resources"]:
            assert set(rule["verbs"]) == {"get", "create", "patch"}


def test_an_installation_for_namespaces_has_no_object_of_the_cluster(cluster: Cluster) -> None:
    objects = rendered(cluster, "system", "watchNamespaces={a,b}", "rbac.userRoles=false")
    assert {object_["metadata"].get("namespace") for object_ in objects} == {"system", "a", "b"}
    roles = [
        object_ for object_ in objects if object_["kind"] == "Role" and object_["metadata"]["namespace"] != "system"
    ]
    assert [role["metadata"]["namespace"] for role in roles] == ["a", "b"]


def test_the_rights_are_the_same_for_namespaces_as_for_the_cluster(cluster: Cluster) -> None:
    (everywhere,) = (
        object_ for object_ in rendered(cluster, "system", "rbac.userRoles=false") if object_["kind"] == "ClusterRole"
    )
    (somewhere,) = (
        object_
        for object_ in rendered(cluster, "system", "watchNamespaces={a}")
        if object_["kind"] == "Role" and object_["metadata"]["namespace"] == "a"
    )
    assert everywhere["rules"] == somewhere["rules"]


class As:
    """Calls to the API server as a user."""

    def __init__(self, cluster: Cluster, user: str, namespace: str) -> None:
        self._cluster = cluster
        self._options = ("--as", user, "--namespace", namespace)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self._cluster.kubectl(*self._options, *arguments, input=input)

    def apply(self, manifest: Object, *options: str) -> None:
        manager = f"--field-manager={FIELD_MANAGER}"
        text = json.dumps(manifest)
        self.kubectl("apply", "--server-side", "--force-conflicts", manager, *options, "-f", "-", input=text)


def objects_of(found: Object) -> Iterator[Object]:
    """All kinds of objects that the operator makes for a search."""
    spec = NASSearch.model_validate(found)
    of_pool = spec.spec.pools[0]
    yield build_authority(spec, CertificateAuthority.create(spec.full_name, timedelta(days=1)))
    yield build_manifest(spec)
    yield build_service(spec)
    yield build_stateful_set(spec, SETTINGS, "controller:1", 1)
    yield from build_network_policies(spec, SETTINGS)
    yield build_pool(spec, of_pool, 1, "child:1")
    yield build_job(spec, of_pool, 0, "child:1", SETTINGS)


def test_the_operator_s_rights_are_enough_for_all_that_it_does(operator: str, cluster: Cluster, namespace: str) -> None:
    cluster.apply(search("a"), namespace=namespace)
    found = cluster.kubectl_json("--namespace", namespace, "get", "nassearch", "a")
    as_operator = As(cluster, operator, namespace)
    made = list(objects_of(found))
    for manifest in made:
        as_operator.apply(manifest)
        as_operator.apply(manifest)  # it is there now
        as_operator.kubectl("get", manifest["kind"], manifest["metadata"]["name"])
    for kind, name in (("NASSearch", "a"), ("NASPool", made[-2]["metadata"]["name"])):
        owner = {"apiVersion": "kubenas.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
        as_operator.apply(owner | {"status": {"observedGeneration": 1}}, "--subresource=status")
    job = made[-1]["metadata"]["name"]
    as_operator.kubectl("annotate", "job", job, "kubenas.dev/draining-since=now")
    claim = ("persistentvolumeclaim", "journal-a-controller-0")
    cluster.kubectl("--namespace", namespace, "wait", "--for=create", "--timeout=120s", "/".join(claim))
    as_operator.kubectl("get", *claim)
    owned = {"metadata": {"ownerReferences": [owner_reference(NASSearch.model_validate(found))]}}
    patch = f"--patch={json.dumps(owned)}"
    as_operator.kubectl("patch", *claim, "--type=merge", patch)
    for resource in ("nassearches", "naspools", "jobs", "statefulsets", "pods", "events"):
        as_operator.kubectl("get", resource)
    as_operator.kubectl("delete", "job", job, "--wait=false")
    as_operator.kubectl("delete", "naspool", made[-2]["metadata"]["name"])
    connection: Any = config.new_client_from_config(str(cluster.kubeconfig))  # more than its type stubs say
    with connection:
        connection.set_default_header("Impersonate-User", operator)
        events = client.EventsV1Api(connection)
        event: Any = new_event(found, namespace)
        events.create_namespaced_event(namespace, event)
        repeated = {"series": {"count": 2, "lastObservedTime": event["eventTime"]}}
        events.patch_namespaced_event(event["metadata"]["name"], namespace, repeated)
    for resource in ("nassearches.kubenas.dev", "naspools.kubenas.dev", "jobs.batch", "statefulsets.apps"):
        assert may(cluster, operator, namespace, "watch", resource)


def new_event(found: Object, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "a.1", "namespace": namespace},
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Normal",
        "reason": "Started",
        "action": "Reconcile",
        "note": "The search has started.",
        "reportingController": "kubenas.dev/operator",
        "reportingInstance": "one",
        "regarding": {
            "apiVersion": found["apiVersion"],
            "kind": "NASSearch",
            "namespace": namespace,
            "name": "a",
            "uid": found["metadata"]["uid"],
        },
    }


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "nassearches"),
        ("list", "secrets"),
        ("watch", "secrets"),
        ("delete", "secrets"),
        ("delete", "configmaps"),
        ("list", "persistentvolumeclaims"),
        ("create", "persistentvolumeclaims"),
        ("delete", "persistentvolumeclaims"),
        ("get", "pods/log"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("delete", "pods"),
        ("update", "nassearches"),
        ("patch", "nassearches"),
        ("create", "nassearches"),
        ("delete", "nassearches"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("create", "serviceaccounts/token"),
        ("create", "deployments.apps"),
    ],
    ids=lambda word: word,
)
def test_the_operator_may_not(verb: str, resource: str, operator: str, cluster: Cluster, namespace: str) -> None:
    assert not may(cluster, operator, namespace, verb, resource)


def test_the_operator_of_a_namespace_has_no_rights_in_another(operator: str, cluster: Cluster) -> None:
    for verb, resource in (("list", "nassearches"), ("get", "secrets"), ("create", "jobs.batch")):
        assert not may(cluster, operator, "default", verb, resource)


def test_the_operator_of_a_cluster_has_its_rights_in_every_namespace(cluster: Cluster, namespace: str) -> None:
    install_rights(cluster, namespace, "rbac.userRoles=false")
    operator = f"system:serviceaccount:{namespace}:{namespace}"
    rights = (("list", "nassearches"), ("get", "secrets"), ("create", "jobs.batch"))
    # The API server knows of them a moment after they are there.
    cluster.wait_for(lambda: all(may(cluster, operator, "default", *right) for right in rights), "the rights")
    assert not may(cluster, operator, "default", "list", "secrets")


USERS = {
    # Who has this ClusterRole of Kubernetes in a namespace: what they may do there, and what not.
    "view": (
        ("get nassearches", "watch nassearches", "list naspools", "get naspools/scale"),
        ("create nassearches", "patch naspools/scale", "delete nassearches"),
    ),
    "edit": (
        ("get nassearches", "create nassearches", "patch nassearches", "delete nassearches", "update naspools/scale"),
        ("patch nassearches/status", "create naspools", "delete naspools"),
    ),
    "admin": (
        ("create nassearches", "patch naspools/scale", "delete naspools"),
        ("patch nassearches/status", "patch naspools/status"),
    ),
}


@pytest.mark.parametrize("role", USERS)
def test_users_get_rights_by_the_roles_that_they_have_already(
    role: str, cluster: Cluster, namespace: str, installed: None
) -> None:
    user = f"a-user-who-may-{role}"
    binding = ("create", "rolebinding", "user", f"--clusterrole={role}", f"--user={user}")
    cluster.kubectl("--namespace", namespace, *binding)
    allowed, refused = ([tuple(right.split()) for right in rights] for rights in USERS[role])

    def has(right: tuple[str, ...]) -> bool:
        return may(cluster, user, namespace, *right)

    # Kubernetes adds the rights to its roles a moment after the chart's roles are there.
    cluster.wait_for(lambda: all(map(has, allowed)), f"the rights of {role}")
    assert not [right for right in refused if has(right)]


def test_who_may_edit_scales_a_pool(cluster: Cluster, namespace: str, installed: None) -> None:
    cluster.kubectl("--namespace", namespace, "create", "rolebinding", "user", "--clusterrole=edit", "--user=alice")
    cluster.apply(pool("a-gpus", {"search": "a", "pool": "gpus"}), namespace=namespace)
    alice = As(cluster, "alice", namespace)
    # Two roles of the chart give them, and Kubernetes may take these up one after the other.
    rights = (("get", "naspools"), ("patch", "naspools/scale"))
    cluster.wait_for(lambda: all(may(cluster, "alice", namespace, *right) for right in rights), "the rights of edit")
    alice.kubectl("scale", "naspool/a-gpus", "--replicas=3")
