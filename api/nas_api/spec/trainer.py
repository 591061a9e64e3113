"""`spec.trainer`: how one architecture (a child network) is trained and measured."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nas_api.spec.base import Duration, LongText, Quantity, SpecModel

# The built-in tasks, with the metrics that they report after each epoch.
BUILT_IN_TASKS = {"image-classification": ("train_loss", "val_loss", "val_accuracy")}
USER_TASK_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"


class Optimizer(SpecModel):
    """Stochastic gradient descent with Nesterov momentum (paper, section 4.1)."""

    learning_rate: float = Field(default=0.1, gt=0, le=100)
    """The learning rate at its highest."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Nesterov momentum. 0 for none."""
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    """Factor of the L2 penalty on the weights."""
    schedule: Literal["Constant", "Cosine", "Step"] = "Cosine"
    """Cosine: from the highest to zero over the epochs. Step: a tenth after half and after three quarters of the
    epochs."""
    warmup_epochs: float = Field(default=0, ge=0, le=1000)
    """Epochs, at the start, in which the learning rate rises linearly to its highest. A fraction of one is allowed."""


class Dataset(SpecModel):
    """The data. A task of your own is given `path` and does the rest itself."""

    path: LongText = "digits"
    """`digits` (1,797 handwritten digits of 8x8 pixels, built in), or a path or fsspec URI of CIFAR-10 batches, IDX
    files, an .npz file or a folder of class folders. Fetched once by each worker."""
    format: Literal["Auto", "CIFAR10", "IDX", "NPZ", "ImageFolder"] = "Auto"
    """How the files are written. Auto: told by their names."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of the training set that is held out to measure the reward, chosen by the search's seed. The test set is
    never touched by the search."""
    image_size: int | None = Field(default=None, ge=1, le=1024)
    """Images of an ImageFolder are resized and centre-cropped to this height and width, in pixels."""


class Trainer(SpecModel):
    """How a child network is trained."""

    task: Annotated[str, Field(min_length=1, max_length=253)] = "image-classification"
    """`image-classification`, or `module:function` for your own training code, called as
    `function(trial, report)`."""
    epochs: int = Field(default=50, ge=1, le=100_000)
    """Epochs of training of each child network."""
    batch_size: int = Field(default=128, ge=1, le=1_000_000)
    """Samples of a training step."""
    optimizer: Optimizer = Optimizer()
    """How the weights of a child network are learned."""
    dataset: Dataset = Dataset()
    """The data that child networks are trained and measured on."""
    augmentation: Literal["Auto", "None", "CropFlip", "Crop"] = "Auto"
    """Of the training images. CropFlip: pad by an eighth, crop at random, flip half of the images. Crop: without the
    flip. Auto: CropFlip for images of at least 24x24 pixels, else None."""
    precision: Literal["Auto", "Float32", "BFloat16", "Float16"] = "Auto"
    """Of the arithmetic of training. Auto: bfloat16 mixed precision on a GPU that has it, float32 elsewhere."""
    timeout: Duration | None = None
    """A trial that takes longer, such as `30m`, is ended and counts as failed. No bound by default."""
    memory_limit: Quantity | None = None
    """Host memory that the process of a trial may allocate (its data segment), for workers on the CPU. A trial that
    wants more counts as failed. No bound by default."""
    parameters: dict[Annotated[str, Field(max_length=253)], Any] = Field(default={}, max_length=256)
    """Anything that your own task wants to know: passed to it as it stands, as `trial.parameters`."""
    image: LongText | None = None
    """Container image of the workers, on a cluster. The operator's own when absent."""

    @model_validator(mode="after")
    def _task_is_known(self) -> Self:
        if self.task not in BUILT_IN_TASKS and not re.match(USER_TASK_PATTERN, self.task):
            raise ValueError(
                f"task {self.task!r} is neither built in ({', '.join(BUILT_IN_TASKS)}) nor of the form module:function"
            )
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.optimizer.warmup_epochs > self.epochs:
            raise ValueError(
                f"optimizer.warmupEpochs ({self.optimizer.warmup_epochs:g}) is more than epochs ({self.epochs})"
            )
        return self

    @property
    def is_user_task(self) -> bool:
        """Whether `task` names a user's own function."""
        return self.task not in BUILT_IN_TASKS
