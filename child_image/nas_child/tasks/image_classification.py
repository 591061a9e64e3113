"""Image classification: the paper's task."""

from pathlib import Path

from nas_api.spec.trainer import Trainer

from nas_child.task import Report, Task, Trial


class ImageClassification(Task):
    """Trains a network to tell classes of images apart."""

    def prepare(self, trainer: Trainer, seed: int, cache: Path) -> None:
        """Loads the data set."""
        raise NotImplementedError

    def warm_up(self) -> None:
        """Takes one step."""
        raise NotImplementedError

    def run(self, trial: Trial, report: Report) -> None:
        """Trains one architecture."""
        raise NotImplementedError
