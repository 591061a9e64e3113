"""Real controllers for the tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.controller_process import ControllerProcess


@pytest.fixture
def make_controller() -> Iterator[Callable[[Path], ControllerProcess]]:
    """Makes controllers, not started yet, each in a directory of its own. They end with the test."""
    made: list[ControllerProcess] = []

    def make(directory: Path) -> ControllerProcess:
        made.append(ControllerProcess(directory))
        return made[-1]

    yield make
    for controller in made:
        controller.end()


@pytest.fixture
def controller(make_controller: Callable[[Path], ControllerProcess], tmp_path: Path) -> ControllerProcess:
    """A controller that is not started yet."""
    return make_controller(tmp_path)
