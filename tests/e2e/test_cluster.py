"""The cluster that the other tests of this folder rest on: what a real one does, and a control plane alone does not."""

import functools
import itertools
import json
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.cluster.tools_image import load_test_tools
from tests.e2e.pods import run_to_the_end

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    if cluster.image_loader is None:
        pytest.skip("this needs to load an image: say how with --load-image")
    return load_test_tools(cluster)


def pod(name: str, image: str, command: str, **spec: Any) -> dict[str, Any]:
    """A pod that runs a shell command once, as pods under the 'restricted' standard may."""
    container = {
        "name": "main",
        "image": image,
        "command": ["/bin/busybox", "sh", "-c", command],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        **spec.pop("container", {}),
    }
    spec = {"restartPolicy": "Never", "securityContext": RESTRICTED, "containers": [container], **spec}
    spec |= {"terminationGracePeriodSeconds": 1}  # the shell heeds no SIGTERM
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def claim(name: str, size: str, access_mode: str, storage_class: str | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": [access_mode], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def mounted(claim_name: str) -> dict[str, Any]:
    """What a pod's specification needs to have a claim's volume at /data."""
    return {
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}],
        "container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
    }


def test_a_pod_runs_and_its_log_can_be_read(cluster: Cluster, namespace: str, image: str) -> None:
    log = run_to_the_end(cluster, namespace, pod("hello", image, "echo hello from $(busybox id -u)"))
    assert log == "hello from 1000\n"


def test_a_command_runs_in_a_pod(cluster: Cluster, namespace: str, image: str) -> None:
    cluster.apply(pod("sleeper", image, "busybox sleep 600"), namespace=namespace)
    cluster.kubectl("--namespace", namespace, "wait", "--for=condition=Ready", "pod/sleeper", "--timeout=300s")
    said = cluster.kubectl("--namespace", namespace, "exec", "sleeper", "--", "/bin/busybox", "hostname")
    assert said == "sleeper\n"
    cluster.kubectl("--namespace", namespace, "delete", "pod", "sleeper", "--grace-period=1")


def test_a_pod_reaches_another_by_the_name_of_its_service(cluster: Cluster, namespace: str, image: str) -> None:
    server = pod("web", image, "exec probe serve :8080 'it works'")
    port = {"port": 80, "targetPort": 8080}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [port]},
    }
    cluster.apply(server, service, namespace=namespace)
    cluster.kubectl("--namespace", namespace, "wait", "--for=condition=Ready", "pod/web", "--timeout=300s")
    url = f"http://web.{namespace}.svc.cluster.local"
    client = pod("client", image, f"until probe get {url} 2>/dev/null; do busybox sleep 0.2; done")
    assert run_to_the_end(cluster, namespace, client) == "it works"


def test_a_pod_reaches_the_api_server(cluster: Cluster, namespace: str, image: str) -> None:
    probe = "until probe connect kubernetes.default.svc:443 2>/dev/null; do busybox sleep 0.2; done; echo reached"
    assert run_to_the_end(cluster, namespace, pod("probe", image, probe)) == "reached\n"


def test_network_policies_are_enforced(cluster: Cluster, namespace: str, image: str) -> None:
    """A pod that a policy selects is reached by the pods and at the ports that the policy names, and no others."""
    if not cluster.is_ours:
        pytest.skip("an existing cluster may have a network without policies")
    serve = "probe serve :8081 'it works' & exec probe serve :8080 'it works'"
    allowed = {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": 8080}]}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [allowed]},
    }
    names = ("web", "friend", "stranger")
    servers = [pod(name, image, serve) for name in names]
    cluster.apply(*servers, namespace=namespace)
    wait = ["wait", "--for=condition=Ready", *(f"pod/{name}" for name in names), "--timeout=300s"]
    cluster.kubectl("--namespace", namespace, *wait)
    web = cluster.kubectl_json("--namespace", namespace, "get", "pod", "web")["status"]["podIP"]

    def reaches(client: str, port: int) -> bool:
        fetch = ["/bin/probe", "get", f"http://{web}:{port}"]
        try:
            return cluster.kubectl("--namespace", namespace, "exec", client, "--", *fetch) == "it works"
        except CommandError:
            return False

    for client, port in itertools.product(("friend", "stranger"), (8080, 8081)):
        cluster.wait_for(functools.partial(reaches, client, port), f"{client} to reach {port}")
    cluster.apply(policy, namespace=namespace)
    cluster.wait_for(lambda: not reaches("stranger", 8080), "the policy to be enforced")
    assert not reaches("friend", 8081)
    cluster.wait_for(lambda: reaches("friend", 8080), "the friend to be let through")
    cluster.kubectl("--namespace", namespace, "delete", "networkpolicy", "web")
    cluster.wait_for(lambda: reaches("stranger", 8081), "the policy to be gone")


def test_a_pod_may_ask_the_dns_if_its_policy_says_so(cluster: Cluster, namespace: str, image: str) -> None:
    """The DNS is known by the labels it has everywhere, though here it is no pod."""
    if not cluster.is_ours:
        pytest.skip("an existing cluster may have a network without policies")
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "only-dns"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [dns], "ports": ports}]},
    }
    cluster.apply(policy, pod("client", image, "busybox sleep 600"), namespace=namespace)
    cluster.kubectl("--namespace", namespace, "wait", "--for=condition=Ready", "pod/client", "--timeout=300s")

    def succeeds(*command: str) -> bool:
        try:
            cluster.kubectl("--namespace", namespace, "exec", "client", "--", "/bin/probe", *command)
        except CommandError:
            return False
        return True

    name = "kubernetes.default.svc.cluster.local"
    cluster.wait_for(lambda: not succeeds("connect", f"{name}:443"), "the policy to be enforced")
    cluster.wait_for(lambda: succeeds("resolve", name), "an answer of the DNS")
    assert not succeeds("connect", f"{name}:443"), "of which the DNS cannot be the cause"


def test_a_volume_for_one_pod_keeps_what_was_written_to_it(cluster: Cluster, namespace: str, image: str) -> None:
    """Access mode ReadWriteOncePod, default class, pods that do not run as root."""
    cluster.apply(claim("data", "1Gi", "ReadWriteOncePod"), namespace=namespace)
    run_to_the_end(cluster, namespace, pod("writer", image, "echo kept >/data/file", **mounted("data")))
    log = run_to_the_end(cluster, namespace, pod("reader", image, "busybox cat /data/file", **mounted("data")))
    assert log == "kept\n"


def test_a_second_pod_waits_for_a_volume_that_only_one_may_have(cluster: Cluster, namespace: str, image: str) -> None:
    cluster.apply(claim("data", "1Gi", "ReadWriteOncePod"), namespace=namespace)
    cluster.apply(pod("first", image, "busybox sleep 600", **mounted("data")), namespace=namespace)
    cluster.kubectl("--namespace", namespace, "wait", "--for=condition=Ready", "pod/first", "--timeout=300s")
    cluster.apply(pod("second", image, "true", **mounted("data")), namespace=namespace)
    unscheduled = ["wait", "--for=condition=PodScheduled=False", "pod/second", "--timeout=300s"]
    cluster.kubectl("--namespace", namespace, *unscheduled)
    cluster.kubectl("--namespace", namespace, "delete", "pod", "first", "--grace-period=1")
    succeeded = ["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/second", "--timeout=300s"]
    cluster.kubectl("--namespace", namespace, *succeeded)


def test_a_volume_can_be_filled(cluster: Cluster, namespace: str, image: str) -> None:
    if not cluster.is_ours:
        pytest.skip("only a cluster of our own has the storage class 'limited'")
    cluster.apply(claim("small", "1Mi", "ReadWriteOnce", "limited"), namespace=namespace)
    fill = "busybox dd if=/dev/zero of=/data/file bs=64k count=32 2>&1; busybox stat -c %s /data/file"
    log = run_to_the_end(cluster, namespace, pod("filler", image, fill, **mounted("small")))
    assert "No space left on device" in log
    assert log.splitlines()[-1] == str(1 << 20)


def test_a_pod_with_gpus_runs_on_a_node_that_offers_them(cluster: Cluster, namespace: str, image: str) -> None:
    if not cluster.is_ours:
        pytest.skip("the nodes of an existing cluster are left as they are")
    cluster.set_gpus("node0", 2)
    resources = {"container": {"resources": {"limits": {"nvidia.com/gpu": 2}}}}
    assert run_to_the_end(cluster, namespace, pod("gpu", image, "echo ran", **resources)) == "ran\n"


def test_helm_installs_a_chart_and_waits_for_it(
    cluster: Cluster, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chart = tmp_path_factory.mktemp("chart")
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: small, version: 1.0.0}")
    template = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-config"}}
    (chart / "templates/config.yaml").write_text(json.dumps(template))
    cluster.helm("install", "release", chart, "--namespace", namespace, "--wait", "--timeout=300s")
    cluster.kubectl("--namespace", namespace, "get", "configmap", "release-config")
    cluster.helm("uninstall", "release", "--namespace", namespace, "--wait")
    with pytest.raises(CommandError, match="NotFound"):
        cluster.kubectl("--namespace", namespace, "get", "configmap", "release-config")
