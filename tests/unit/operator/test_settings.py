"""The operator's settings, as environment variables have them."""

from datetime import timedelta

import pytest
from nas_operator.settings import Settings
from pydantic import ValidationError


@pytest.fixture(autouse=True)
def images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBENAS_CONTROLLER_IMAGE", "controller:1")
    monkeypatch.setenv("KUBENAS_CHILD_IMAGE", "child:1")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("namespaces", "", ()),
        ("namespaces", "vision", ("vision",)),
        ("namespaces", "vision, speech,", ("vision", "speech")),
        ("certificate_lifetime", "2160h", timedelta(days=90)),
        ("certificate_lifetime", "1h30m", timedelta(minutes=90)),
        ("poll_seconds", "0.5", 0.5),
        ("metrics_peers", "[]", ()),
        ("tracing_endpoint", "", ""),
        ("tracing_endpoint", "https://[2001:db8::1]:4317", "https://[2001:db8::1]:4317"),
        ("tracing_ratio", "0.1", 0.1),
        ("metrics_peers", '[{"podSelector": {}}]', ({"podSelector": {}},)),
    ],
)
def test_a_setting_is_read_from_its_variable(
    name: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"KUBENAS_{name.upper()}", text)
    assert getattr(Settings(), name) == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("namespaces", "Vision", "should match pattern"),
        ("certificate_lifetime", "3 months", "write numbers with units, such as 90s"),
        ("certificate_lifetime", "14m", "greater than or equal to 15 minutes"),
        ("metrics_peers", "[{}]", "at least one of them"),
        ("metrics_peers", '[{"namespace": "monitoring"}]', "has ipBlock, namespaceSelector, podSelector"),
        ("tracing_endpoint", "collector:4317", "write http://HOST:PORT"),
        ("tracing_endpoint", "http://collector", "write http://HOST:PORT"),
        ("tracing_endpoint", "grpc://collector:4317", "write http://HOST:PORT"),
        ("tracing_endpoint", "http://collector:4317/v1/traces", "write http://HOST:PORT"),
        ("tracing_endpoint", "http://collector:99999", "Port out of range"),
        ("tracing_ratio", "10", "less than or equal to 1"),
        ("workers", "0", "greater than or equal to 1"),
        ("child_image", "", "at least 1 character"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_words(
    name: str, text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"KUBENAS_{name.upper()}", text)
    with pytest.raises(ValidationError, match=words):
        Settings()
