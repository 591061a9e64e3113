"""Real controllers for the tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.controller_process import ControllerProcess


@pytest.fixture(scope="session")
def make_controller() -> Iterator[Callable[[Path], ControllerProcess]]:
    """Makes controllers, not started yet, each in a directory of its own."""
    made: list[ControllerProcess] = []

    def make(directory: Path) -> ControllerProcess:
        made.append(ControllerProcess(directory))
        return made[-1]

    yield make
    for controller in made:
        if controller.process is not None and controller.process.is_alive():
            controller.kill()


@pytest.fixture
def controller(make_controller: Callable[[Path], ControllerProcess], tmp_path: Path) -> ControllerProcess:
    """A controller that is not started yet."""
    return make_controller(tmp_path)
