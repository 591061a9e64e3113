"""NetworkPolicies: who may talk to whom."""

from typing import Any

import pytest
from nas_operator.names import OPERATOR_LABELS
from nas_operator.observed import Object
from nas_operator.resources.controller import METRICS_PORT, build_stateful_set
from nas_operator.resources.network import build_network_policies
from nas_operator.resources.worker import build_job

from tests.unit.operator.resources.searches import FULL_SPEC, SETTINGS, search_of

WITHOUT_EGRESS: dict[str, Any] = {}
DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def policies(spec: dict[str, Any] = WITHOUT_EGRESS) -> tuple[Object, Object]:
    controller, worker = build_network_policies(search_of(spec), SETTINGS)
    return controller["spec"], worker["spec"]


def pod_labels(kind: str, name: str = "digits") -> dict[str, str]:
    search = search_of(name=name)
    if kind == "worker":
        owner = build_job(search, search.spec.pools[0], 0, "worker:1", SETTINGS)
    else:
        owner = build_stateful_set(search, SETTINGS, "controller:1", 1)
    return dict(owner["spec"]["template"]["metadata"]["labels"])


def selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = selector["matchLabels"]
    return labels.items() >= wanted.items()


def test_each_policy_is_of_the_pods_of_its_search_alone() -> None:
    controller, worker = policies()
    for kind, policy in (("controller", controller), ("worker", worker)):
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        selected = [
            (other, name)
            for other in ("controller", "worker")
            for name in ("digits", "others")
            if selects(policy["podSelector"], pod_labels(other, name))
        ]
        assert selected == [(kind, "digits")]


def test_workers_of_the_search_and_operators_anywhere_reach_the_controller() -> None:
    controller, _ = policies()
    [rule] = controller["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 50051}]
    workers, operators = rule["from"]
    assert selects(workers["podSelector"], pod_labels("worker"))
    assert not selects(workers["podSelector"], pod_labels("worker", "others"))
    assert "namespaceSelector" not in workers
    assert operators == {"namespaceSelector": {}, "podSelector": {"matchLabels": OPERATOR_LABELS}}


def test_who_may_scrape_reaches_the_metrics_of_the_controller_and_nothing_else() -> None:
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    settings = SETTINGS.model_copy(update={"metrics_peers": (monitoring,)})
    controller, worker = build_network_policies(search_of(), settings)
    _, scrapes = controller["spec"]["ingress"]
    assert scrapes == {"from": [monitoring], "ports": [{"protocol": "TCP", "port": METRICS_PORT}]}
    assert not worker["spec"].get("ingress")
    [container] = build_stateful_set(search_of(), settings, "controller:1", 1)["spec"]["template"]["spec"]["containers"]
    assert {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"} in container["ports"]
    assert {"name": "KUBENAS_METRICS_LISTEN", "value": f":{METRICS_PORT}"} in container["env"]


def test_the_controller_reaches_nothing_and_nothing_reaches_a_worker() -> None:
    controller, worker = policies()
    assert not controller.get("egress")
    assert not worker.get("ingress")


def test_a_worker_reaches_its_controller_and_dns() -> None:
    _, worker = policies()
    to_controller, dns = worker["egress"]
    assert to_controller["ports"] == [{"protocol": "TCP", "port": 50051}]
    [peer] = to_controller["to"]
    assert selects(peer["podSelector"], pod_labels("controller"))
    assert not selects(peer["podSelector"], pod_labels("controller", "others"))
    assert dns == DNS


def test_and_what_the_manifest_declares() -> None:
    _, worker = policies(FULL_SPEC)
    assert worker["egress"][2:] == [
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"protocol": "TCP", "port": 443}]},
        {"to": [{"ipBlock": {"cidr": "2001:db8::/32"}}]},
    ]


@pytest.mark.parametrize("spec", [{}, FULL_SPEC], ids=["plain", "full"])
def test_the_policies_have_names_of_their_own(spec: dict[str, Any]) -> None:
    names = [policy["metadata"]["name"] for policy in build_network_policies(search_of(spec), SETTINGS)]
    assert names == ["digits-controller", "digits-workers"]
