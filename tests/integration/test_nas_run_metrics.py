"""`nas run --metrics`."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.nas_program import Workplace, wait_until
from tests.integration.prometheus_text import scrape, value


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    workplace.write_task(trials=100_000)
    yield workplace
    workplace.clean_up()


def test_a_local_run_serves_its_metrics(workplace: Workplace) -> None:
    program = workplace.start("--metrics", "127.0.0.1:0")
    workplace.wait_for_trials(2, program)
    url = workplace.metrics_url()
    # Counted a moment after they are in the journal.
    wait_until(
        lambda: value(scrape(url), "nas_trials_finished_total", search="tiny", namespace="default") >= 2, "the count"
    )
    program.interrupt()
    assert program.wait() == 130


def test_an_address_that_is_taken_ends_it_before_it_has_begun(workplace: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = workplace.run("--metrics", address)
    assert done.returncode == 2
    assert f"cannot serve metrics on {address}: Address already in use: choose another port" in done.stderr
    assert workplace.finished() == []
