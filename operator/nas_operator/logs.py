"""The log: on standard error, as text for people or as JSON, a line an entry."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from nas_operator.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Sets the log up as `settings` says."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.log_format == "json":
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}",
                style="{",
                datefmt="%Y-%m-%dT%H:%M:%S%z",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    if settings.log_level != "DEBUG":
        # Kopf tells of every event that it passes on; urllib3 of every connection that it makes anew.
        for library in ("kopf", "urllib3", "aiohttp"):
            logging.getLogger(library).setLevel(logging.WARNING)
        # It warns that it takes no signals, which are for the operator.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
