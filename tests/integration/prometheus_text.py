"""What a Prometheus would read from a URL."""

import re
import shutil
import subprocess
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

Series = tuple[str, tuple[tuple[str, str], ...]]


def scrape(url: str) -> str:
    """The text at `url`."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text: str = answer.read().decode()
        return text


def samples(text: str) -> list[Sample]:
    """All samples in `text`."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def series(text: str) -> set[Series]:
    """The name and labels of every sample."""
    return {(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples(text)}


def value(text: str, name: str, **labels: str) -> float:
    """Sum of the samples of that name which have at least these labels. There must be one."""
    found = [s.value for s in samples(text) if s.name == name and labels.items() <= s.labels.items()]
    assert found, f"no {name}{labels} in:\n{text}"
    return sum(found)


def check_with_promtool(text: str) -> None:
    """Fails if promtool finds anything to say, skips where there is none."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: on Debian, apt-get install prometheus")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def url_in(log: str) -> str:
    """Where a controller or an operator says that it serves metrics."""
    url: str = re.findall(r"metrics on (http://\S+)", log)[-1]
    return url
