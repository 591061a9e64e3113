"""Lines of a worker's log."""

import json
import logging
import re

import pytest
from nas_child.log_format import configure_logging


@pytest.fixture(autouse=True)
def _restore() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_has_one_object_a_line_with_the_fields_of_the_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    logging.getLogger("nas_child.worker").info("trial %d ended\nwell", 12, extra={"trial": 12, "seconds": 1.5})
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
    assert event == {
        "level": "info",
        "logger": "nas_child.worker",
        "message": "trial 12 ended\nwell",
        "trial": 12,
        "seconds": 1.5,
    }


def test_json_keeps_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    try:
        raise ValueError("no luck")
    except ValueError:
        logging.getLogger("nas_child").exception("it failed")
    assert "ValueError: no luck" in json.loads(capsys.readouterr().err)["exception"]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text")
    logging.getLogger("nas_child.worker").warning("trial %d is lost", 12, extra={"trial": 12})
    assert re.fullmatch(r"\S+Z WARNING trial 12 is lost\n", capsys.readouterr().err)


def test_events_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "WARNING")
    logging.getLogger("nas_child.worker").info("trial 12 ended")
    assert capsys.readouterr().err == ""
