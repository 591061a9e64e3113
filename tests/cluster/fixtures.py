"""What tests on a cluster share: a namespace for each, and what went on in it when one fails.

A conftest.py takes these by importing them, and gives the tests a fixture that has the cluster.
"""

import re
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError

_LONGEST_PREFIX = 40  # of the 63 characters of a namespace; the tests add their own to make names of objects


@contextmanager
def namespace_for(cluster: Cluster, test: str, *, wait: bool) -> Iterator[str]:
    """A new namespace, named after the test, for the duration of the context.

    Args:
        cluster: Where.
        test: Name of the test.
        wait: Whether to wait until all that was in it is gone: 5 seconds at least, for that is how long the controller
            of namespaces waits before it begins.
    """
    name = namespace_name(test)
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, f"--wait={str(wait).lower()}")


def namespace_name(test: str) -> str:
    """A name for the namespace of a test, another one each time."""
    words = re.sub(r"[^a-z0-9]+", "-", test.lower().removeprefix("test_"))
    return f"{words[:_LONGEST_PREFIX].strip('-')}-{secrets.token_hex(3)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the figures that tests have recorded, whichever process they ran in and whatever is captured."""
    for report in terminalreporter.getreports("passed"):
        if report.user_properties:
            terminalreporter.write_sep("=", f"figures of {report.nodeid.rpartition('::')[2]}")
        for name, figure in report.user_properties:
            terminalreporter.write_line(f"{name}: {figure}")


def describe_namespace(cluster: Cluster, namespace: str) -> str:
    """Pods, events and logs of a namespace, for a person to read."""

    def ask(title: str, *arguments: str) -> str:
        try:
            answer = cluster.kubectl("--namespace", namespace, *arguments, timeout=60)
        except CommandError as error:
            answer = error.stderr
        return f"--- {title}\n{answer.strip()}\n"

    report = ask("objects", "get", "all,persistentvolumeclaims,configmaps", "-o", "wide")
    report += ask("events", "get", "events", "--sort-by=.metadata.creationTimestamp")
    try:
        pods = cluster.kubectl("--namespace", namespace, "get", "pods", "-o", "name").split()
    except CommandError:  # the cluster has gone, as the answers above say
        pods = []
    return report + "".join(
        ask(f"log of {pod}", "logs", pod, "--all-containers", "--prefix", "--tail=100") for pod in pods
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds a description of its namespace to the report of a test that failed."""
    report = yield
    arguments = getattr(item, "funcargs", {})
    clusters = [value for value in arguments.values() if isinstance(value, Cluster)]
    namespace = arguments.get("namespace")
    if report.failed and report.when != "teardown" and clusters and namespace:
        report.sections.append((f"namespace {namespace}", describe_namespace(clusters[0], namespace)))
    return report
