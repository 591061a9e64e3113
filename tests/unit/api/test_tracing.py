"""Whether there are traces: what the environment says, and what is loaded where it says nothing."""

import subprocess
import sys

import pytest
from nas_api.tracing import endpoint, problem

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "PROTOCOL", "TRACES_PROTOCOL"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ""),
        (ENDPOINT, "http://collector:4317"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://tempo:4317"}, "http://tempo:4317"),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "otlp"}, "http://collector:4317"),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": ""}, "http://collector:4317"),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, ""),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, ""),
    ],
)
def test_the_standard_variables_say_where_traces_go(
    environment: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert endpoint() == wanted
    assert problem() == ""


def test_a_protocol_that_is_not_spoken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    assert problem() == "", "nobody asked for traces"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    assert problem() == "traces are not sent: their protocol is grpc, and the environment asks for http/protobuf"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
    assert problem() == ""


@pytest.mark.parametrize("process", ["nas_controller.command", "nas_child.command"])
def test_nothing_of_opentelemetry_is_loaded_where_there_are_no_traces(process: str) -> None:
    code = f"""
import sys, {process} as process
with process.tracing("kubenas") as provider:
    assert provider is None
sys.exit(any(name.startswith("opentelemetry") for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
