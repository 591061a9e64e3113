"""How controller, workers and operator log: one line an event, for people (`text`) or for machines (`json`).

Whoever logs gives what identifies an event as `extra`: `trial`, `lease`, `worker`, `search`. In JSON these are fields.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

LogFormat = Literal["text", "json"]
LOG_FORMATS: Final[tuple[str, ...]] = get_args(LogFormat)
LOG_FORMAT_VARIABLE = "KUBENAS_LOG_FORMAT"
"""Environment variable with the format, for those that are not told another."""

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_COLOURS = {logging.DEBUG: _DIM, logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[1;31m"}


class _TextFormatter(logging.Formatter):
    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        head, level, name = _time(record), f"{record.levelname:7}", record.name
        text = record.getMessage()
        if self._coloured:
            colour = _COLOURS.get(record.levelno, "")
            head, name = f"{_DIM}{head}{_PLAIN}", f"{_DIM}{name}{_PLAIN}"
            if colour:
                level, text = f"{colour}{level}{_PLAIN}", f"{colour}{text}{_PLAIN}"
        line = f"{head} {level} {name}: {text}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES},
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def default_format() -> LogFormat:
    """What the environment says, text if it says nothing that is known."""
    return "json" if os.environ.get(LOG_FORMAT_VARIABLE) == "json" else "text"


def configure_logging(log_format: LogFormat, level: str = "INFO") -> None:
    """Logs everything from `level` on to standard error, text in colour if that is a terminal (and NO_COLOR is unset).

    Args:
        log_format: `text`, without what is given as `extra`, or `json`.
        level: of logging.
    """
    handler = logging.StreamHandler(sys.stderr)
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter(coloured=coloured))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
