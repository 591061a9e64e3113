"""What the Prometheus operator makes of a PodMonitor: the part of a Prometheus' configuration that scrapes its pods."""

from collections.abc import Mapping
from typing import Any

from tests.monitoring.pod_discovery import sanitized

Object = dict[str, Any]


def scrape_config(monitor: Object, discovery: str) -> Object:
    """A scrape configuration.

    It is that of the Prometheus operator (v0.85, `generatePodMonitorConfig`) as far as our PodMonitors go, but for who
    tells what pods there are.

    Args:
        monitor: A PodMonitor with one endpoint.
        discovery: URL of a `pod_discovery`.

    Raises:
        ValueError: it has a field that is not translated here.
    """
    namespace, name = monitor["metadata"]["namespace"], monitor["metadata"]["name"]
    spec, [endpoint] = monitor["spec"], monitor["spec"]["podMetricsEndpoints"]
    selector, where = spec["selector"], spec.get("namespaceSelector", {})
    _only(spec, "namespaceSelector", "selector", "podMetricsEndpoints")
    _only(selector, "matchLabels")
    _only(where, "any", "matchNames")
    _only(endpoint, "port", "path", "honorLabels", "metricRelabelings", "interval")

    urls = [discovery] if where.get("any") else [f"{discovery}?{each}" for each in where.get("matchNames", [namespace])]
    port = endpoint["port"]
    config: Object = {
        "job_name": f"podMonitor/{namespace}/{name}/0",
        "honor_labels": endpoint.get("honorLabels", False),
        "http_sd_configs": [{"url": url, "refresh_interval": "2s"} for url in urls],
        "metrics_path": endpoint.get("path", "/metrics"),
        "relabel_configs": [
            _filter("drop", "(Failed|Succeeded)", "pod_phase"),
            *(
                _filter("keep", f"({value});true", f"pod_label_{sanitized(key)}", f"pod_labelpresent_{sanitized(key)}")
                for key, value in sorted(selector["matchLabels"].items())
            ),
            _filter("keep", port, "pod_container_port_name"),
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            {"target_label": "job", "replacement": f"{namespace}/{name}"},
            {"target_label": "endpoint", "replacement": port},
        ],
        "metric_relabel_configs": [_relabeling(each) for each in endpoint.get("metricRelabelings", ())],
    }
    return config | ({"scrape_interval": endpoint["interval"]} if "interval" in endpoint else {})


def _only(part: Mapping[str, Any], *known: str) -> None:
    if unknown := part.keys() - set(known):
        raise ValueError(f"nothing is made of {', '.join(sorted(unknown))} yet: see generatePodMonitorConfig")


def _filter(action: str, regex: str, *sources: str) -> Object:
    return {"action": action, "source_labels": [f"__meta_kubernetes_{source}" for source in sources], "regex": regex}


def _relabeling(relabeling: Object) -> Object:
    _only(relabeling, "action", "regex")
    return relabeling
