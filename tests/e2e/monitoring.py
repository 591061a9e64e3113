"""A Prometheus that watches what runs in the cluster, as the chart's PodMonitors have it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.installation import Installation
from tests.monitoring.pace import quick_rules
from tests.monitoring.pod_discovery import pod_discovery
from tests.monitoring.pod_monitors import scrape_config
from tests.monitoring.prometheus import Prometheus, running_prometheus


@contextmanager
def watching_prometheus(operator: Installation, directory: Path, *, faster: float) -> Iterator[Prometheus | None]:
    """It has the chart's rules, at so many times their pace, and finds what to scrape by the chart's PodMonitors.

    None where no Prometheus is installed, or none on this machine can be let into the cluster's network.

    Args:
        operator: What it watches, with all its searches.
        directory: For all that it needs.
        faster: What the durations of the rules are divided by.
    """
    if shutil.which("prometheus") is None or not operator.cluster.is_ours:
        yield None
        return
    with pod_discovery(operator.cluster) as discovery:
        monitors = [scrape_config(monitor, discovery) for monitor in operator.pod_monitors()]
        with running_prometheus(directory, rules=[quick_rules(directory, faster)], discovering=monitors) as prometheus:
            yield prometheus
