"""Traces of the pods of a search: where they go, what they say of the pod, and that they get there."""

from typing import Any

import pytest
from nas_operator.observed import Object
from nas_operator.resources.controller import build_stateful_set
from nas_operator.resources.network import build_network_policies
from nas_operator.resources.worker import build_job, template_hash
from nas_operator.settings import Settings

from tests.unit.operator.resources.searches import FULL_SPEC, SETTINGS, search_of

ENDPOINT = "http://collector.observability.svc:4317"
DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def settings_of(endpoint: str = ENDPOINT, ratio: float = 1) -> Settings:
    return SETTINGS.model_copy(update={"tracing_endpoint": endpoint, "tracing_ratio": ratio})


def environments(settings: Settings, spec: dict[str, Any] | None = None) -> list[list[Object]]:
    """Of the controller's container and of a worker's."""
    search = search_of(spec)
    owners = (
        build_stateful_set(search, settings, "controller:1", 1),
        build_job(search, search.spec.pools[0], 0, "worker:1", settings),
    )
    return [owner["spec"]["template"]["spec"]["containers"][0]["env"] for owner in owners]


def egress(settings: Settings, spec: dict[str, Any] | None = None) -> list[list[Object]]:
    """Rules of the controller's policy and of the workers'."""
    return [policy["spec"].get("egress", []) for policy in build_network_policies(search_of(spec), settings)]


def test_by_default_there_are_none() -> None:
    for environment in environments(SETTINGS):
        assert not [variable for variable in environment if variable["name"].startswith("OTEL_")]
    controller, worker = egress(SETTINGS)
    assert controller == []
    assert len(worker) == 2  # controller and DNS


def test_controller_and_workers_know_where_to_and_who_they_are() -> None:
    for environment in environments(settings_of()):
        variables = {variable["name"]: variable for variable in environment}
        assert len(variables) == len(environment)
        assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"]["value"] == ENDPOINT
        assert variables["OTEL_RESOURCE_ATTRIBUTES"]["value"] == (
            "k8s.namespace.name=research,k8s.pod.name=$(KUBENAS_POD_NAME),k8s.node.name=$(KUBENAS_NODE_NAME)"
        )
        # Kubernetes resolves only what comes before.
        names = list(variables)
        for name, path in (("KUBENAS_POD_NAME", "metadata.name"), ("KUBENAS_NODE_NAME", "spec.nodeName")):
            assert variables[name]["valueFrom"] == {"fieldRef": {"fieldPath": path}}
            assert names.index(name) < names.index("OTEL_RESOURCE_ATTRIBUTES")
        assert "OTEL_TRACES_SAMPLER" not in variables


def test_a_part_of_the_trials_can_be_traced() -> None:
    for environment in environments(settings_of(ratio=0.1)):
        values = {variable["name"]: variable.get("value") for variable in environment}
        assert values["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
        assert values["OTEL_TRACES_SAMPLER_ARG"] == "0.1"


def test_of_a_worker_the_manifest_has_the_last_word() -> None:
    spec = {"trainer": {"environment": {"OTEL_TRACES_EXPORTER": "none", "OTEL_RESOURCE_ATTRIBUTES": "team=vision"}}}
    _, worker = environments(settings_of(), spec)
    values = {variable["name"]: variable.get("value") for variable in worker}
    assert len(values) == len(worker)
    assert values["OTEL_TRACES_EXPORTER"] == "none"
    assert values["OTEL_RESOURCE_ATTRIBUTES"] == "team=vision"


@pytest.mark.parametrize(
    ("endpoint", "to", "port"),
    [
        (ENDPOINT, {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}, 4317),
        (
            "https://tempo.traces.svc.cluster.local:443",
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traces"}}},
            443,
        ),
        ("http://10.1.2.3:4317", {"ipBlock": {"cidr": "10.1.2.3/32"}}, 4317),
        ("http://[2001:db8::1]:4317", {"ipBlock": {"cidr": "2001:db8::1/128"}}, 4317),
        ("https://otlp.example.com:4317", None, 4317),
    ],
)
def test_they_get_to_the_collector(endpoint: str, to: Object | None, port: int) -> None:
    rule: Object = {"ports": [{"protocol": "TCP", "port": port}]}
    if to is not None:
        rule["to"] = [to]
    controller, worker = egress(settings_of(endpoint), FULL_SPEC)
    assert controller == [DNS, rule]
    assert worker[1:3] == [DNS, rule]
    assert len(worker) == 5, "what the manifest declares is there all the same"


def test_to_turn_them_on_restarts_nothing() -> None:
    search = search_of()
    off, on = (
        build_stateful_set(search, settings, "controller:1", 1)["metadata"]["annotations"]
        for settings in (SETTINGS, settings_of())
    )
    assert off == on
    jobs = [build_job(search, search.spec.pools[0], 0, "worker:1", settings) for settings in (SETTINGS, settings_of())]
    assert len({job["metadata"]["name"] for job in jobs}) == 1
    assert template_hash(search, search.spec.pools[0], "worker:1") in jobs[0]["metadata"]["name"]
