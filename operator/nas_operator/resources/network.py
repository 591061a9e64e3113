"""NetworkPolicies: workers reach their controller and what the manifest declares; the controller reaches nothing.

They hold where the cluster's network enforces them. Who may scrape metrics, and where traces go, the operator is told.
"""

from nas_api.spec import NASSearch
from nas_api.spec.trainer import Egress

from nas_operator.names import COMPONENT_LABEL, OPERATOR_LABELS, SEARCH_LABEL, controller_name, workers_name
from nas_operator.observed import Object
from nas_operator.resources.applied import stamped
from nas_operator.resources.controller import CONTROLLER_PORT, METRICS_PORT, controller_selector
from nas_operator.resources.owner import owned_metadata
from nas_operator.resources.tracing import to_collector
from nas_operator.settings import Settings

_CONTROLLER_PORTS = [{"protocol": "TCP", "port": CONTROLLER_PORT}]
_METRICS_PORTS = [{"protocol": "TCP", "port": METRICS_PORT}]
_DNS_PORTS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def build_network_policies(search: NASSearch, settings: Settings) -> tuple[Object, ...]:
    """The policy of the controller and that of the workers."""
    workers = {SEARCH_LABEL: search.metadata.name, COMPONENT_LABEL: "worker"}
    from_operator = {"namespaceSelector": {}, "podSelector": {"matchLabels": OPERATOR_LABELS}}
    calls = {"from": [{"podSelector": {"matchLabels": workers}}, from_operator], "ports": _CONTROLLER_PORTS}
    # Without peers the rule would let in everybody.
    scrapes = [{"from": list(settings.metrics_peers), "ports": _METRICS_PORTS}] if settings.metrics_peers else []
    # Where DNS is served differs: pods of the cluster, or an address of the node.
    to_dns = {"ports": _DNS_PORTS}
    traces = to_collector(settings)
    controller = {
        "podSelector": {"matchLabels": controller_selector(search)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [calls, *scrapes],
        **({"egress": [to_dns, *traces]} if traces else {}),
    }
    to_controller = {
        "to": [{"podSelector": {"matchLabels": controller_selector(search)}}],
        "ports": _CONTROLLER_PORTS,
    }
    worker = {
        "podSelector": {"matchLabels": workers},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [to_controller, to_dns, *traces, *(_rule(egress) for egress in search.spec.trainer.egress)],
    }
    name = search.metadata.name
    return (_policy(search, controller_name(name), controller), _policy(search, workers_name(name), worker))


def _policy(search: NASSearch, name: str, spec: Object) -> Object:
    return stamped(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": owned_metadata(search, name, "network"),
            "spec": spec,
        }
    )


def _rule(egress: Egress) -> Object:
    rule: Object = {"to": [{"ipBlock": {"cidr": egress.cidr}}]}
    if egress.port is not None:
        rule["ports"] = [{"protocol": "TCP", "port": egress.port}]
    return rule
