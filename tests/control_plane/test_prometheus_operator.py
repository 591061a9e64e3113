"""PodMonitors and the PrometheusRule of the chart on an API server that serves the Prometheus operator's resources."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.cluster.kubectl_nas import Run
from tests.control_plane.custom_resources import Object
from tests.control_plane.prometheus_operator import custom_resource_definitions
from tests.control_plane.searches import SAMPLE
from tools.chart import CHART

RELEASE = "watched"
# Everything that the values can make of them.
VALUES = {
    "metrics": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}, "runbooks": "https://git.example.com"},
    },
    "crds": {"install": False},
    "rbac": {"userRoles": False},
}


@pytest.fixture(scope="module")
def monitored(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with the definitions of PodMonitor and PrometheusRule."""
    try:
        files = custom_resource_definitions()
    except RuntimeError as error:
        pytest.skip(str(error))
    options = [word for file in files for word in ("-f", file)]
    cluster.kubectl("apply", "--server-side", *options)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=120s", *options)
    # That they are established is written a moment earlier.
    kinds = ("get", "podmonitors,prometheusrules", "--all-namespaces")
    cluster.wait_for(lambda: cluster.kubectl(*kinds, "-o", "json"), "PodMonitor and PrometheusRule to be served")
    yield cluster
    cluster.kubectl("delete", *options)


@pytest.fixture
def options(namespace: str) -> list[str]:
    """Of helm: an installation for one namespace."""
    values = [f"--set-json={key}={json.dumps(value)}" for key, value in VALUES.items()]
    return [RELEASE, str(CHART), "--namespace", namespace, f"--set=watchNamespaces={{{namespace}}}", *values]


@pytest.fixture
def rendered(monitored: Cluster, options: list[str]) -> dict[str, Object]:
    """What the chart makes for the Prometheus operator, by kind and name."""
    documents = yaml.safe_load_all(monitored.helm("template", *options))
    found = [document for document in documents if document["apiVersion"].startswith("monitoring.coreos.com/")]
    return {f"{document['kind']}/{document['metadata']['name']}": document for document in found}


def test_helm_installs_them_and_the_api_server_keeps_every_field(
    monitored: Cluster, namespace: str, options: list[str], rendered: dict[str, Object]
) -> None:
    monitored.helm("install", *options)
    assert sorted(rendered) == [
        "PodMonitor/watched-nas-operator",
        "PodMonitor/watched-nas-operator-controllers",
        "PrometheusRule/watched-nas-operator",
    ]
    for name, wanted in rendered.items():
        found = monitored.kubectl_json("--namespace", namespace, "get", name)
        assert found["spec"] == wanted["spec"]
        assert found["metadata"]["labels"].items() >= wanted["metadata"]["labels"].items()
    monitored.helm("uninstall", RELEASE, "--namespace", namespace)


def apply(cluster: Cluster, document: Object) -> None:
    """As a user would who looks closely: unknown fields are errors, and nothing is kept."""
    strictly = ["--server-side", "--dry-run=server", "--validate=strict"]
    cluster.kubectl("apply", *strictly, "-f", "-", input=json.dumps(document))


def test_strict_validation_finds_nothing_wrong(monitored: Cluster, rendered: dict[str, Object]) -> None:
    for document in rendered.values():
        apply(monitored, document)


@pytest.mark.parametrize(
    ("kind", "path", "value", "words"),
    [
        ("PodMonitor", ["podMetricsEndpoints", 0, "interval"], "often", "spec.podMetricsEndpoints[0].interval"),
        ("PodMonitor", ["podMetricsEndpoints", 0, "honourLabels"], True, "honourLabels: field not declared"),
        ("PodMonitor", ["podMetricsEndpoints", 0, "metricRelabelings"], [{"action": "lose"}], "Unsupported value"),
        ("PodMonitor", ["namespaceSelector", "names"], ["a"], "names: field not declared"),
        ("PodMonitor", ["selector"], None, "spec.selector: Required value"),
        ("PrometheusRule", ["groups", 1, "rules", 0, "for"], "5 minutes", "spec.groups[1].rules[0].for"),
        ("PrometheusRule", ["groups", 1, "rules", 0, "summary"], "Down.", "summary: field not declared"),
        ("PrometheusRule", ["groups", 1, "rules", 0, "expr"], None, "spec.groups[1].rules[0].expr: Required value"),
    ],
)
def test_a_mistake_in_them_would_be_refused(
    kind: str, path: list[Any], value: Any, words: str, monitored: Cluster, rendered: dict[str, Object]
) -> None:
    document = next(document for document in rendered.values() if document["kind"] == kind)
    part = document["spec"]
    for key in path[:-1]:
        part = part.setdefault(key, {}) if isinstance(part, dict) else part[key]
    part[path[-1]] = value
    if value is None:
        del part[path[-1]]
    with pytest.raises(CommandError) as refused:
        apply(monitored, document)
    assert words in str(refused.value)


def test_preflight_says_that_podmonitors_are_served(monitored: Cluster, nas: Run) -> None:
    checks = json.loads(nas("preflight", str(SAMPLE), "-o", "json").stdout)["checks"]
    [check] = [check for check in checks if check["check"] == "prometheus operator"]
    assert check["message"].startswith("is there")
