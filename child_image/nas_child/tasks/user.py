"""A user's own training code: `module:function`, called as `function(trial, report)`."""

import importlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from nas_api.spec.trainer import Trainer

from nas_child.task import FailureReason, Report, Task, TaskError, Trial, TrialFailure, check_report

TaskFunction = Callable[[Trial, Report], object]


class UserTask(Task):
    """Trains whatever the user's function trains. What the data is, is the function's own business."""

    def __init__(self, function: TaskFunction) -> None:
        self.function = function

    def prepare(self, trainer: Trainer, seed: int, cache: Path) -> None:
        """Nothing: the user's module was imported, and what it loaded meanwhile is shared by all trials."""

    def warm_up(self) -> None:
        """Takes a step with SGD, the commonest optimizer; the first `torch.optim` object imports 900 modules."""
        weight = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(weight.parameters(), lr=0.1)
        weight(torch.ones(1, 1)).sum().backward()
        optimizer.step()

    def run(self, trial: Trial, report: Report) -> None:
        """Calls the function with all generators of random numbers seeded.

        Raises:
            TrialFailure: it reported a metric that is not a finite number, or nothing at all.
        """
        random.seed(trial.seed)
        np.random.seed(trial.seed % 2**32)
        torch.manual_seed(trial.seed)
        reported = 0

        def checked(step: int, **metrics: float) -> None:
            nonlocal reported
            step, values = check_report(step, metrics)
            report(step, **values)
            reported += len(values)

        self.function(trial, checked)
        if not reported:
            raise TrialFailure(FailureReason.NO_METRIC, "the task returned without having reported a metric")


def import_function(name: str) -> TaskFunction:
    """The function that `module:function` names. Modules in the working directory are found, too.

    Raises:
        TaskError: there is no such module, importing it raises, or it has no such function.
    """
    module_name, _, function_name = name.partition(":")
    if (directory := os.getcwd()) not in sys.path:  # noqa: PTH109 - entries of sys.path are strings
        sys.path.insert(0, directory)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # The module itself, or a package above it; any other is one that the user's module needs.
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            path = "PYTHONPATH" if os.environ.get("PYTHONPATH") else "PYTHONPATH, which is empty"
            raise TaskError(
                f"task {name!r}: there is no module {error.name!r} in the working directory {directory}, in {path}, or "
                f"among the installed packages. Run in the directory of {module_name.partition('.')[0]}.py, or name it "
                f"in PYTHONPATH"
            ) from None
        raise TaskError(
            f"task {name!r}: module {module_name!r} needs {error.name!r}, which is not installed"
        ) from error
    except (Exception, SystemExit) as error:
        raise TaskError(f"task {name!r}: importing {module_name!r} raised {type(error).__name__}: {error}") from error
    function = getattr(module, function_name, None)
    if function is None:
        own = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        raise TaskError(
            f"task {name!r}: {module.__file__} has no function {function_name!r}; it has {', '.join(own) or 'none'}"
        )
    if not callable(function):
        raise TaskError(f"task {name!r}: {function_name!r} in {module.__file__} is not callable, but {function!r}")
    return function  # type: ignore[no-any-return]  # nothing can be known of its signature
