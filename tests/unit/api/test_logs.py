"""Lines of a worker's log."""

import io
import json
import logging
import re
import sys

import pytest
from nas_api.logs import LOG_FORMAT_VARIABLE, configure_logging, default_format


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
    assert re.fullmatch(r"\S+Z WARNING nas_child\.worker: trial 12 is lost\n", capsys.readouterr().err)


def test_events_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "WARNING")
    logging.getLogger("nas_child.worker").info("trial 12 ended")
    assert capsys.readouterr().err == ""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colours_unless_it_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def logged() -> str:
        terminal = _Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        configure_logging("text")
        logging.getLogger("nas_child.worker").warning("trial %d is lost", 12)
        return terminal.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[33mtrial 12 is lost\x1b[0m" in logged()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in logged()


def test_the_environment_says_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LOG_FORMAT_VARIABLE, raising=False)
    assert default_format() == "text"
    monkeypatch.setenv(LOG_FORMAT_VARIABLE, "json")
    assert default_format() == "json"
    monkeypatch.setenv(LOG_FORMAT_VARIABLE, "xml")
    assert default_format() == "text"
