"""The Helm chart on a real API server: install, upgrade, uninstall, and what it says."""

import base64
import importlib.util
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from nas_api.spec import NASSearch
from nas_operator.resources.controller import build_stateful_set
from nas_operator.settings import Settings

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.cluster.gpu_nodes import NODE_SELECTOR, TOLERATION
from tests.cluster.lifecycle import temporary_control_plane
from tests.control_plane.custom_resources import CRDS, GROUP, ROOT, Object, install_crds, search, wait_until_served
from tools.chart import CHART, INSTALL, NAMESPACE

RELEASE = "nas-operator"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A control plane of its own, since the chart brings the CRDs. No pod runs, except on simulated nodes."""
    with temporary_control_plane() as cluster:
        yield cluster


@pytest.fixture
def system(cluster: Cluster) -> Iterator[str]:
    """A namespace in which only pods that are 'restricted' may be made, and a cluster without our CRDs."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
    )
    yield NAMESPACE
    if RELEASE in cluster.helm("list", "-n", NAMESPACE, "--short").split():
        cluster.helm("uninstall", RELEASE, "-n", NAMESPACE)
    delete_crds(cluster)


def delete_crds(cluster: Cluster) -> None:
    """Deletes them, if they are there, and waits until they are gone.

    Where the storage of a kind was still being made, the API server cannot list its instances, and may look again only
    when its definition changes, or after five minutes. So it is changed.
    """
    cluster.kubectl("delete", *CRDS, "--ignore-not-found", "--wait=false")

    def gone() -> bool:
        left = [name for name in cluster.kubectl("get", "crds", "-o", "name").split() if name.endswith(GROUP)]
        if left:
            cluster.kubectl("annotate", "--overwrite", *left, f"{GROUP}/look-again-at={time.monotonic()}")
        return not left

    cluster.wait_for(gone, "the definitions to be gone")


def install(cluster: Cluster, namespace: str, *options: str) -> str:
    return cluster.helm("install", RELEASE, CHART, "-n", namespace, *options)


def render(cluster: Cluster, *options: str) -> list[Object]:
    text = cluster.helm("template", RELEASE, CHART, "-n", NAMESPACE, *options)
    return [document for document in yaml.safe_load_all(text) if document]


def deployment(cluster: Cluster) -> Any:
    return cluster.kubectl_json("-n", NAMESPACE, "get", "deployment", RELEASE)


def environment(found: Object) -> dict[str, str]:
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


def test_the_operator_is_admitted_where_pods_must_be_restricted(cluster: Cluster, system: str) -> None:
    install(cluster, system)
    # Of pods there may still be those of an earlier test, which the garbage collector takes its time for.
    cluster.wait_for(lambda: deployment(cluster)["status"].get("replicas"), "the operator's pod to be made")
    spec = deployment(cluster)["spec"]
    assert spec["template"]["spec"]["serviceAccountName"] == RELEASE
    assert spec["strategy"] == {"type": "Recreate"}


def test_it_becomes_ready_where_the_values_say_that_it_shall_run(cluster: Cluster, system: str, tmp_path: Path) -> None:
    """On a simulated node, whose taint it must tolerate."""
    nodes = cluster.add_gpu_nodes(1)
    values = {
        "nodeSelector": NODE_SELECTOR,
        "tolerations": [TOLERATION],
        "priorityClassName": "system-cluster-critical",
        "images": {"pullSecrets": [{"name": "registry"}], "operator": {"digest": f"sha256:{'0' * 64}"}},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    install(cluster, system, "--values", str(file), "--wait", "--timeout=240s")
    assert deployment(cluster)["status"]["readyReplicas"] == 1
    spec = deployment(cluster)["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["containers"][0]["image"] == f"kubenas/operator@sha256:{'0' * 64}"
    assert environment(deployment(cluster))["HTTPS_PROXY"] == "http://proxy:3128"
    cluster.remove_nodes(nodes)


def test_the_operator_s_settings_are_the_values(cluster: Cluster, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [
        "watchNamespaces={vision,speech}",
        "settings.certificateLifetime=24h",
        "settings.pollSeconds=0.5",
        "settings.workers=8",
        "settings.logFormat=json",
        "settings.storageAccessMode=ReadWriteOnce",
        "tracing.endpoint=http://collector.observability.svc:4317",
        "tracing.ratio=0.1",
        "images.child.repository=mine/child",
        "images.child.tag=v2",
        "images.repository=registry.example/kubenas",
        "images.tag=v1",
        "images.pullPolicy=Always",
    ]
    objects = render(cluster, *(word for option in options for word in ("--set", option)))
    (found,) = (object_ for object_ in objects if object_["kind"] == "Deployment")
    for name, value in environment(found).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.namespaces == ("vision", "speech")
    assert settings.certificate_lifetime.total_seconds() == 24 * 3600
    assert (settings.poll_seconds, settings.workers, settings.log_format) == (0.5, 8, "json")
    assert settings.storage_access_mode == "ReadWriteOnce"
    assert (settings.controller_image, settings.child_image) == (
        "registry.example/kubenas/controller:v1",
        "mine/child:v2",
    )
    assert settings.image_pull_policy == "Always"
    assert (settings.tracing_endpoint, settings.tracing_ratio) == ("http://collector.observability.svc:4317", 0.1)


def test_searches_survive_an_uninstallation_and_belong_to_the_next(cluster: Cluster, system: str) -> None:
    install(cluster, system)
    wait_until_served(cluster)
    cluster.apply(search("mine"), namespace="default")
    cluster.helm("uninstall", RELEASE, "-n", system)
    assert cluster.kubectl("get", "nassearches", "-o", "name").split() == ["nassearch.kubenas.dev/mine"]
    install(cluster, system)
    assert cluster.kubectl("get", "nassearches", "-o", "name").split() == ["nassearch.kubenas.dev/mine"]


def test_the_crds_go_too_if_they_are_not_to_be_kept(cluster: Cluster, system: str) -> None:
    install(cluster, system, "--set", "crds.keep=false")
    wait_until_served(cluster)
    cluster.helm("uninstall", RELEASE, "-n", system, "--wait")
    assert "kubenas.dev" not in cluster.kubectl("get", "crds", "-o", "name")


def test_it_installs_beside_crds_that_somebody_else_has_installed(cluster: Cluster, system: str) -> None:
    install_crds(cluster)
    with pytest.raises(CommandError, match="invalid ownership metadata"):
        install(cluster, system)
    cluster.kubectl("-n", system, "delete", "secret", "-l", f"owner=helm,name={RELEASE}")
    said = install(cluster, system, "--set", "crds.install=false")
    assert "The CRDs are not part of this release" in said


def test_an_upgrade_changes_the_operator_and_no_search(cluster: Cluster, system: str) -> None:
    install(cluster, system)
    wait_until_served(cluster)
    cluster.apply(search("mine"), namespace="default")
    before = cluster.kubectl_json("get", "nassearch", "mine")["metadata"]
    cluster.helm("upgrade", RELEASE, CHART, "-n", system, "--set", "images.operator.tag=0.2.0")
    assert deployment(cluster)["spec"]["template"]["spec"]["containers"][0]["image"] == "kubenas/operator:0.2.0"
    assert cluster.kubectl_json("get", "nassearch", "mine")["metadata"] == before
    cluster.helm("rollback", RELEASE, "1", "-n", system)
    assert deployment(cluster)["spec"]["template"]["spec"]["containers"][0]["image"] == "kubenas/operator:0.1.0"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("settings.worker=3", "at '/settings': additional properties 'worker' not allowed"),
        ("settings.workers=100", "at '/settings/workers': maximum: got 100, want 64"),
        ("settings.logLevel=LOUD", "at '/settings/logLevel': value must be one of"),
        ("settings.certificateLifetime=14m", "at '/settings/certificateLifetime': '14m' does not match"),
        ("settings.certificateLifetime=3 months", "at '/settings/certificateLifetime': '3 months' does not match"),
        ("watchNamespaces=vision", "at '/watchNamespaces': got string, want array"),
        ("watchNamespaces={Vision}", "at '/watchNamespaces/0': 'Vision' does not match"),
        ("images.operator.digest=latest", "at '/images/operator/digest': 'latest' does not match"),
        ("metrics.podMonitor.interval=often", "at '/metrics/podMonitor/interval': 'often' does not match"),
        ("replicas=2", "additional properties 'replicas' not allowed"),
    ],
)
def test_a_wrong_value_is_refused_in_words(value: str, words: str, cluster: Cluster) -> None:
    with pytest.raises(CommandError, match=re.escape(words)):
        render(cluster, "--set", value)


def test_the_network_policy_lets_the_operator_reach_controllers_and_the_api_server(
    cluster: Cluster, system: str
) -> None:
    install(cluster, system, "--set", "networkPolicy.enabled=true")
    policy = cluster.kubectl_json("-n", system, "get", "networkpolicy", RELEASE)["spec"]
    labels = deployment(cluster)["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    ports = [[port["port"] for port in rule["ports"]] for rule in policy["egress"]]
    assert ports == [[443, 6443], [53, 53], [50051]]


def test_who_may_scrape_may_do_so_and_is_told_to_the_operator(cluster: Cluster, system: str) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    install(cluster, system, "--set", "networkPolicy.enabled=true", "--set-json", f"metrics.peers={json.dumps([peer])}")
    policy = cluster.kubectl_json("-n", system, "get", "networkpolicy", RELEASE)["spec"]
    assert policy["ingress"] == [{"from": [peer], "ports": [{"port": 8080, "protocol": "TCP"}]}]
    assert json.loads(environment(deployment(cluster))["KUBENAS_METRICS_PEERS"]) == [peer]


def test_pod_monitors_find_the_operator_and_the_controllers_that_it_makes(cluster: Cluster) -> None:
    chosen = "metrics.podMonitor.enabled=true,metrics.podMonitor.interval=15s,watchNamespaces={a}"
    rendered = render(cluster, "--set", chosen)
    of_operator, of_controllers = (document["spec"] for document in rendered if document["kind"] == "PodMonitor")
    assert not any(document["kind"] == "PodMonitor" for document in render(cluster))
    assert of_controllers["namespaceSelector"] == {"matchNames": ["a"]}

    [operator] = [document for document in rendered if document["kind"] == "Deployment"]
    settings = Settings(controller_image="controller:1", child_image="child:1")
    controller = build_stateful_set(NASSearch.model_validate(search("digits")), settings, "controller:1", 1)
    for monitor, pods in ((of_operator, operator), (of_controllers, controller)):
        template = pods["spec"]["template"]
        assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        [endpoint] = monitor["podMetricsEndpoints"]
        assert endpoint["interval"] == "15s"
        assert endpoint["port"] in [port["name"] for port in template["spec"]["containers"][0]["ports"]]


def test_dashboards_come_as_config_maps_that_the_sidecar_of_grafana_finds(cluster: Cluster, system: str) -> None:
    assert not any(document["kind"] == "ConfigMap" for document in render(cluster))
    install(cluster, system, "--set", "metrics.dashboards.enabled=true,metrics.dashboards.labels.team=vision")
    found = cluster.kubectl_json("-n", system, "get", "configmaps", "-l", "grafana_dashboard=1,team=vision")["items"]
    files = {name: text for config_map in found for name, text in config_map["data"].items()}
    assert {name: json.loads(text) for name, text in files.items()} == {
        f"kubenas-{path.name}": json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")
    }
    assert {config_map["metadata"]["annotations"]["grafana_folder"] for config_map in found} == {"KubeNAS"}

    elsewhere = render(cluster, "--set", "metrics.dashboards.enabled=true,metrics.dashboards.namespace=monitoring")
    of_grafana = [document["metadata"] for document in elsewhere if document["kind"] == "ConfigMap"]
    assert {metadata["namespace"] for metadata in of_grafana} == {"monitoring"}


def test_the_rules_are_those_of_the_file_and_their_runbooks_where_the_values_say(cluster: Cluster) -> None:
    runbooks = "https://git.example.com/runbooks"
    chosen = {"enabled": True, "labels": {"a": "b"}, "runbooks": f"{runbooks}/"}
    rendered = render(cluster, "--set-json", f"metrics.prometheusRule={json.dumps(chosen)}")
    [rule] = [document for document in rendered if document["kind"] == "PrometheusRule"]
    assert not any(document["kind"] == "PrometheusRule" for document in render(cluster))
    assert rule["metadata"]["labels"]["a"] == "b"
    file = (CHART / "files" / "rules.yaml").read_text()
    assert rule["spec"] == yaml.safe_load(file.replace("docs/runbooks", runbooks))

    # Where nobody says that, an alert has no link rather than a dead one.
    [rule] = [
        document
        for document in render(cluster, "--set", "metrics.prometheusRule.enabled=true")
        if document["kind"] == "PrometheusRule"
    ]
    expected = yaml.safe_load(file)
    for alert in (each for group in expected["groups"] for each in group["rules"] if "alert" in each):
        del alert["annotations"]["runbook_url"]
    assert rule["spec"] == expected


def test_the_notes_have_a_first_search_that_is_valid(cluster: Cluster, system: str) -> None:
    said = install(cluster, system, "--set", "watchNamespaces={default}")
    assert "It runs the searches of default, and of no other namespace." in said
    _, _, rest = said.partition("<<EOF\n")
    manifest, _, _ = rest.partition("    EOF\n")
    NASSearch.model_validate(yaml.safe_load(manifest))
    wait_until_served(cluster)
    cluster.kubectl("apply", "--dry-run=server", "-f", "-", input=manifest)


@pytest.fixture
def check(cluster: Cluster, system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What `helm test` runs, with the rights and the token that it has there."""
    hooks = render(cluster, "--show-only", "templates/tests/installation.yaml")
    pod = next(hook for hook in hooks if hook["kind"] == "Pod")
    cluster.apply(*(hook for hook in hooks if hook["kind"] != "Pod"))
    cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    (container,) = pod["spec"]["containers"]
    script, *arguments = container["args"]
    assert (container["command"], arguments) == (["python", "-c"], [system, RELEASE])
    file = tmp_path / "check_installation.py"
    file.write_text(script)
    spec = importlib.util.spec_from_file_location("check_installation", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = cluster.kubectl_json("config", "view", "--raw")["clusters"][0]["cluster"]
    address = urlsplit(known["server"])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(known["certificate-authority-data"]))
    (tmp_path / "token").write_text(cluster.kubectl("-n", system, "create", "token", pod["spec"]["serviceAccountName"]))
    monkeypatch.setattr(module, "ACCOUNT", tmp_path)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0)
    return module


def test_helm_test_says_what_is_wrong(
    cluster: Cluster, system: str, check: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> str:
        check.main(system, RELEASE)
        return capsys.readouterr().out.strip()

    not_served = "error: the API server does not serve kubenas.dev/v1alpha1"
    cluster.wait_for(lambda: said().startswith(not_served), "what an earlier test has installed to be gone")
    install(cluster, system)
    wait_until_served(cluster)
    not_ready = f"error: the operator is not ready: see kubectl -n {system} logs deployment/{RELEASE}"
    cluster.wait_for(lambda: said() == not_ready, "the pod of the operator to be made")
    nodes = cluster.add_gpu_nodes(1)
    tolerate = f"tolerations={json.dumps([TOLERATION])}"
    cluster.helm("upgrade", RELEASE, CHART, "-n", system, "--set-json", tolerate)
    cluster.wait_for(lambda: said() == "ok: NASSearch and NASPool are served, the operator is ready", "the operator")
    cluster.remove_nodes(nodes)


def test_generated_files_are_up_to_date(cluster: Cluster) -> None:
    command = [sys.executable, "tools/chart.py", "--check", "--helm", str(cluster.programs.path("helm"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_plain_installation_is_that_of_the_chart(cluster: Cluster) -> None:
    """Whoever applies one file gets what Helm installs, and no label that says Helm had a hand in it."""
    cluster.kubectl("apply", "--server-side", "-f", INSTALL)
    wait_until_served(cluster)
    (by_helm,) = (object_ for object_ in render(cluster) if object_["kind"] == "Deployment")
    assert environment(deployment(cluster)) == environment(by_helm)
    assert "helm" not in INSTALL.read_text().lower().replace("generated from helm/nas-operator", "")
    cluster.kubectl("delete", "-f", INSTALL)
