"""`python -m nas_operator`: the operator, as a process."""

import argparse
import asyncio
import logging
import sys
import textwrap
from datetime import timedelta
from typing import Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from nas_operator.kubernetes_api import KubernetesApi, NotConfiguredError, load_configuration
from nas_operator.logs import configure_logs
from nas_operator.operator_process import OperatorProcess
from nas_operator.plan_run import AT_ONCE
from nas_operator.planning.plan import plan
from nas_operator.reconciler import Reconciler
from nas_operator.settings import Settings

logger = logging.getLogger("nas_operator")

EX_CONFIG = 78
_PREFIX = "KUBENAS_"
_EXAMPLES = """\
examples:
  KUBENAS_CONTROLLER_IMAGE=registry.example/controller:1 KUBENAS_CHILD_IMAGE=registry.example/child:1 \\
      python -m nas_operator                         # outside of a cluster, with the kubeconfig
  KUBENAS_NAMESPACES=vision,speech ... python -m nas_operator
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the operator until SIGTERM or SIGINT.

    Returns:
        The exit status; 78 means that the settings are unusable.
    """
    _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        for line in _problems(error):
            print(f"nas_operator: {line}", file=sys.stderr)
        return EX_CONFIG
    configure_logs(settings)
    try:
        # One for each thread that reconciles or carries out actions, and one for the lists.
        configuration = load_configuration(connections=settings.workers + AT_ONCE + 1)
    except NotConfiguredError as error:
        print(f"nas_operator: {error}", file=sys.stderr)
        return EX_CONFIG
    api = KubernetesApi(configuration)
    process = OperatorProcess(api, settings, Reconciler(api, settings, plan))
    try:
        asyncio.run(process.run())
    except ExceptionGroup as group:
        for cause in group.exceptions:
            logger.critical("cannot go on: %s", cause, exc_info=cause)
        return 1
    except OSError as error:
        logger.critical("cannot listen on port %d: %s", settings.health_port, error.strerror or error)
        return 1
    finally:
        api.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    settings = "\n".join(_described(name, field) for name, field in Settings.model_fields.items())
    return argparse.ArgumentParser(
        prog="python -m nas_operator",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=textwrap.fill(
            "The operator: makes the controllers and workers of every NASSearch of a Kubernetes cluster, and says in "
            "its status how it stands. In a pod it uses the service account, elsewhere the kubeconfig.",
            width=100,
        ),
        epilog=f"settings, from environment variables:\n{settings}\n\n{_EXAMPLES}",
    )


def _described(name: str, field: FieldInfo) -> str:
    notes = "required" if field.is_required() else f"default: {_written(field.default)}"
    if get_origin(field.annotation) is Literal:
        *choices, last = get_args(field.annotation)
        notes = f"{', '.join(choices)} or {last}; {notes}"
    text = textwrap.fill(f"{field.description} ({notes})", 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return f"  {_PREFIX}{name.upper()}\n{text}"


def _written(value: object) -> str:
    match value:
        case ():
            return "none"
        case timedelta():
            return f"{value.total_seconds() / 3600:g}h"
        case _:
            return str(value)


def _problems(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        field = Settings.model_fields[name]
        if problem["type"] == "missing":
            said = f"is not set: {_continued(field.description or '')}"
        else:
            said = f"is {problem['input']!r}: {_continued(problem['msg'])}"
        lines.append(f"{_PREFIX}{name.upper()} {said}")
    return lines


def _continued(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
