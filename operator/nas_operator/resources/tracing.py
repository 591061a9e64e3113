"""Traces of the pods of a search: the environment that turns them on, and the way to the collector."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from nas_api.spec import NASSearch

from nas_operator.observed import Object
from nas_operator.settings import Settings

_OF_SERVICES = "svc"  # third label of the DNS name of a Service
_POD_FIELDS = {"KUBENAS_POD_NAME": "metadata.name", "KUBENAS_NODE_NAME": "spec.nodeName"}


def tracing_environment(search: NASSearch, settings: Settings) -> Mapping[str, Object]:
    """The variables of a pod of the search, core/v1 EnvVar by name; nothing where there are no traces."""
    if not settings.tracing_endpoint:
        return {}
    # References to variables are resolved in those that come after them.
    fields = {name: {"valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _POD_FIELDS.items()}
    pod, node = (f"$({name})" for name in _POD_FIELDS)
    attributes = f"k8s.namespace.name={search.metadata.namespace},k8s.pod.name={pod},k8s.node.name={node}"
    values = {"OTEL_EXPORTER_OTLP_ENDPOINT": settings.tracing_endpoint, "OTEL_RESOURCE_ATTRIBUTES": attributes}
    if settings.tracing_ratio < 1:
        values["OTEL_TRACES_SAMPLER"] = "parentbased_traceidratio"
        values["OTEL_TRACES_SAMPLER_ARG"] = str(settings.tracing_ratio)
    return {**fields, **{name: {"value": value} for name, value in values.items()}}


def to_collector(settings: Settings) -> list[Object]:
    """Rules of a NetworkPolicy that let pods out to the collector, DNS apart; none where there are no traces."""
    if not settings.tracing_endpoint:
        return []
    endpoint = urlsplit(settings.tracing_endpoint)
    ports = {"ports": [{"protocol": "TCP", "port": endpoint.port}]}
    return [_peer(endpoint.hostname or "") | ports]


def _peer(host: str) -> Object:
    """Where a host is, as far as its name tells: an address, or a Service of a namespace."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        if labels[2:3] != [_OF_SERVICES]:
            return {}  # anywhere
        return {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": labels[1]}}}]}
    return {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}]}
