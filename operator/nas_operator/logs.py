"""The log of the operator, see `nas_api.logs`, without what kopf tells of its own."""

import logging

from nas_api.logs import configure_logging

from nas_operator.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Sets the log up as `settings` says."""
    configure_logging(settings.log_format, settings.log_level)
    if settings.log_level != "DEBUG":
        # Kopf tells of every event that it passes on; urllib3 of every connection that it makes anew.
        for library in ("kopf", "urllib3", "aiohttp"):
            logging.getLogger(library).setLevel(logging.WARNING)
        # It warns that it takes no signals, which are for the operator.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
