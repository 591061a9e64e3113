"""`Settings`: what the one who installs the operator decides, from environment variables `KUBENAS_...`."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from nas_api.spec.base import DnsLabel, parse_duration
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _duration(value: object) -> object:
    # As in the manifest, not as Pydantic has it (P90D).
    return parse_duration(value) if isinstance(value, str) else value


def _separated(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _peer(value: dict[str, Any]) -> dict[str, Any]:
    known = ("ipBlock", "namespaceSelector", "podSelector")
    if not value or value.keys() - set(known):
        raise ValueError(f"a peer of a NetworkPolicy has {', '.join(known)}, and at least one of them")
    return value


def _endpoint(value: str) -> str:
    parts = urlsplit(value)
    whole = parts.hostname and parts.port and value == f"{parts.scheme}://{parts.netloc}" and "@" not in value
    if value and not (whole and parts.scheme in ("http", "https")):
        raise ValueError("write http://HOST:PORT, or https://HOST:PORT for TLS")
    return value


class Settings(BaseSettings):
    """Each field is read from the environment variable of its name with the prefix `KUBENAS_`."""

    model_config = SettingsConfigDict(env_prefix="KUBENAS_", frozen=True, use_attribute_docstrings=True, extra="forbid")

    namespaces: Annotated[tuple[DnsLabel, ...], BeforeValidator(_separated), NoDecode] = ()
    """Namespaces that are watched, separated by commas. None named: all of the cluster."""
    controller_image: str = Field(min_length=1)
    """Image of the controllers of searches that name none."""
    child_image: str = Field(min_length=1)
    """Image of the workers of searches that name none."""
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """Of all pods of searches."""
    storage_access_mode: Literal["ReadWriteOncePod", "ReadWriteOnce"] = "ReadWriteOncePod"
    """Access mode of the journals' volumes of searches that name none."""
    # They are valid from five minutes before they are issued: shorter ones would be due when they are new.
    certificate_lifetime: Annotated[timedelta, BeforeValidator(_duration)] = Field(
        default=timedelta(days=90), ge=timedelta(minutes=15)
    )
    """Of the certificates of a search, such as `2160h`. They are made anew at two thirds of it."""
    poll_seconds: float = Field(default=5, ge=0.2, le=300)
    """How often the controller of a running search is asked how it stands."""
    resync_seconds: float = Field(default=60, ge=1, le=3600)
    """How often every search is reconciled though nothing has been heard of it."""
    status_seconds: float = Field(default=10, ge=0, le=300)
    """Least time between two writes of a search's status that differ in numbers only."""
    workers: int = Field(default=4, ge=1, le=64)
    """Searches that are reconciled at once."""
    health_port: int = Field(default=8080, ge=0, le=65535)
    """Port of the health endpoint and of metrics, on all addresses. 0: a free one."""
    metrics_peers: tuple[Annotated[dict[str, Any], AfterValidator(_peer)], ...] = ()
    """Who may scrape the metrics of controllers: peers of a NetworkPolicy (networking.k8s.io/v1), as a JSON list."""
    tracing_endpoint: Annotated[str, AfterValidator(_endpoint)] = ""
    """Where controllers and workers send traces, by OTLP over gRPC, such as `http://collector:4317`. Empty: nowhere."""
    tracing_ratio: float = Field(default=1, ge=0, le=1)
    """Part of the trials that are traced."""
    log_format: Literal["text", "json"] = "text"
    """Of the log on standard error."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Of the log."""
