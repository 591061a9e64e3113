"""`spec.trainer`: how one architecture (a child network) is trained and measured."""

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from nas_api.spec.base import Duration, LongText, Quantity, ShortText, SpecModel
from nas_api.spec.search_space import SpaceType

# The built-in tasks, with the metrics that they report after each epoch.
BUILT_IN_TASKS = {
    "image-classification": ("train_loss", "val_loss", "val_accuracy"),
    "language-model": ("train_loss", "val_loss", "val_perplexity"),
}
# What they can train. A user's own task can train anything.
TRAINED_SPACES: dict[str, SpaceType] = {"image-classification": "ConvNet", "language-model": "RecurrentCell"}
# Metrics that are better when lower, by the end of their names.
LOWER_IS_BETTER = ("loss", "perplexity")
# The data that come with KubeNAS and with Python.
BUILT_IN_IMAGES = "digits"
BUILT_IN_TEXT = "pydoc"
# Where the pods of workers have volumes of ours.
RESERVED_MOUNT_PATHS = ("/etc/kubenas", "/tmp", "/dev/shm", "/var/cache/kubenas")  # noqa: S108
ENVIRONMENT_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
USER_TASK_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"


class Optimizer(SpecModel):
    """How the weights of a child network are learned. The default is the paper's for images (section 4.1)."""

    type: Literal["SGD", "AdamW"] = "SGD"
    """SGD: with Nesterov momentum. AdamW: Adam with decoupled weight decay; its learning rates are about 0.001."""
    learning_rate: float = Field(default=0.1, gt=0, le=100)
    """The learning rate at its highest."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Nesterov momentum, 0 for none. With AdamW: decay of the mean of the gradients (beta 1)."""
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    """Factor of the L2 penalty on the weights. With AdamW: part that they lose, times the learning rate, in a step."""
    schedule: Literal["Constant", "Cosine", "Step"] = "Cosine"
    """Cosine: from the highest to zero over the epochs. Step: a tenth after half and after three quarters of the
    epochs, or at `decayEpoch`."""
    decay_epoch: float | None = Field(default=None, gt=0, le=100_000)
    """With the schedule Step: the one epoch after which the learning rate is a tenth."""
    warmup_epochs: float = Field(default=0, ge=0, le=1000)
    """Epochs, at the start, in which the learning rate rises linearly to its highest. A fraction of one is allowed."""


class Dataset(SpecModel):
    """The data. A task of your own is given `path` and does the rest itself."""

    path: LongText = BUILT_IN_IMAGES
    """A path or fsspec URI, fetched once by each worker. For images: CIFAR-10 batches, IDX files, an .npz file or a
    folder of class folders, or `digits` (1,797 handwritten digits of 8x8 pixels, built in). For language: a folder with
    the texts train.txt, valid.txt and test.txt (or ptb.train.txt and so on), one text file, or `pydoc` (the reference
    of the language that comes with Python: a third of a megabyte of English, another with each version of Python)."""
    format: Literal["Auto", "CIFAR10", "IDX", "NPZ", "ImageFolder"] = "Auto"
    """How the files of images are written. Auto: told by their names."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of the training set that is held out to measure the reward: of images chosen by the search's seed, of a
    text that has no file for it (valid.txt) the end. The test set is never touched by the search; of a text in one file
    it is as much again, at the very end."""
    image_size: int | None = Field(default=None, ge=1, le=1024)
    """Images of an ImageFolder are resized and centre-cropped to this height and width, in pixels."""


class LanguageModel(SpecModel):
    """The network around a recurrent cell, and how texts are cut, with `task: language-model`.

    The defaults are those of the medium model of Zaremba, Sutskever & Vinyals (2014) for the Penn Treebank. A batch
    size of 20 belongs to them (`trainer.batchSize`): so many pieces of the text are read side by side.
    """

    level: Literal["Words", "Characters"] = "Words"
    """What a token is. Words: whatever stands between white space, and the end of a line (`<eos>`). Characters: every
    one, line ends included."""
    max_vocabulary: int = Field(default=10_000, ge=2, le=10_000_000)
    """Most different tokens, `<unk>` and `<eos>` included. The commonest of the training text are kept; the others
    become `<unk>`, and so does what occurs only in other texts."""
    hidden_size: int = Field(default=650, ge=1, le=65_536)
    """Features of the hidden state and of the memory of each layer. A cell of base N has N * hiddenSize * (hiddenSize +
    features of its input) weights."""
    embedding_size: int | None = Field(default=None, ge=1, le=65_536)
    """Features of the embedding of a token. As many as `hiddenSize` by default."""
    layers: int = Field(default=2, ge=1, le=16)
    """Layers of the cell, one above the other, each with weights of its own."""
    shared_embeddings: bool = False
    """Whether one matrix holds the embeddings of the tokens and the weights of the scores (Press & Wolf 2017). Needs as
    many features in an embedding as in a hidden state."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Part of the features that is dropped at random where they enter and leave a layer."""
    bptt: int = Field(default=35, ge=1, le=10_000)
    """Steps over which gradients flow back (truncated back-propagation through time). The state is carried on."""
    gradient_clipping: float = Field(default=5.0, gt=0, le=1e9)
    """Largest norm of the gradient of all weights: a longer one is shortened to it."""

    @model_validator(mode="after")
    def _shared_embeddings_fit(self) -> Self:
        if self.shared_embeddings and self.embedding_size not in (None, self.hidden_size):
            raise ValueError(
                "sharedEmbeddings need embeddingSize and hiddenSize to be equal: leave embeddingSize out "
                f"({self.embedding_size}, and hiddenSize is {self.hidden_size})"
            )
        return self


class Volume(SpecModel):
    """A PersistentVolumeClaim in the workers' pods, on a cluster."""

    claim_name: ShortText
    """The PersistentVolumeClaim, in the namespace of the search."""
    mount_path: Annotated[str, Field(min_length=2, max_length=1024, pattern=r"^/[^:]+$")]
    """Where it is mounted, such as `/data`. `dataset.path` can then be a path below it."""
    sub_path: LongText | None = None
    """Path in the volume that is mounted. Its root when absent."""
    read_only: bool = True
    """Whether the workers can only read it. Several nodes can write to one volume only if its access mode allows it."""

    @model_validator(mode="after")
    def _is_not_in_the_way(self) -> Self:
        if any(f"{self.mount_path}/".startswith(f"{path}/") for path in RESERVED_MOUNT_PATHS):
            raise ValueError(
                f"mountPath {self.mount_path!r} is taken by KubeNAS ({', '.join(RESERVED_MOUNT_PATHS)}): use another, "
                "such as /data"
            )
        return self


class Egress(SpecModel):
    """Addresses that workers may connect to, beside their controller, on a cluster that enforces NetworkPolicies."""

    cidr: Annotated[str, Field(min_length=1, max_length=64)]
    """Range of IP addresses, such as `10.0.0.0/8` or `0.0.0.0/0`."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """TCP port. Every port when absent."""

    @field_validator("cidr")
    @classmethod
    def _is_a_network(cls, cidr: str) -> str:
        wrong = "" if "/" in cidr else "it has no / and length"
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            wrong = str(error)
        if wrong:
            raise ValueError(f"{cidr!r} is not a range of addresses such as 10.0.0.0/8: {wrong}")
        return cidr


class Trainer(SpecModel):
    """How a child network is trained."""

    task: Annotated[str, Field(min_length=1, max_length=253)] = "image-classification"
    """`image-classification` for a ConvNet, `language-model` for a RecurrentCell, or `module:function` for your own
    training code, called as `function(trial, report)`."""
    epochs: int = Field(default=50, ge=1, le=100_000)
    """Epochs of training of each child network."""
    batch_size: int = Field(default=128, ge=1, le=1_000_000)
    """Samples of a training step. With `task: language-model`: pieces of the text that are read side by side."""
    optimizer: Optimizer = Optimizer()
    """How the weights of a child network are learned."""
    dataset: Dataset = Dataset()
    """The data that child networks are trained and measured on."""
    language_model: LanguageModel = LanguageModel()
    """With `task: language-model`."""
    augmentation: Literal["Auto", "None", "CropFlip", "Crop"] = "Auto"
    """Of the training images. CropFlip: pad by an eighth, crop at random, flip half of the images. Crop: without the
    flip. Auto: CropFlip for images of at least 24x24 pixels, else None."""
    batch_norm_epsilon: float = Field(default=1e-5, gt=0, le=1)
    """Of images: what batch normalisation adds to the variance."""
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
    volumes: tuple[Volume, ...] = Field(default=(), max_length=16)
    """Volumes with the data, on a cluster."""
    environment: dict[Annotated[str, Field(max_length=253)], Annotated[str, Field(max_length=1024)]] = Field(
        default={}, max_length=64
    )
    """Environment variables of the workers, on a cluster."""
    environment_secret: ShortText | None = None
    """Secret whose keys become environment variables of the workers, such as credentials of an object store."""
    egress: tuple[Egress, ...] = Field(default=(), max_length=32)
    """What workers may connect to on a cluster beside their controller: none by default. Data that are fetched by URI
    need it."""

    @model_validator(mode="after")
    def _task_is_known(self) -> Self:
        if self.task not in BUILT_IN_TASKS and not re.match(USER_TASK_PATTERN, self.task):
            raise ValueError(
                f"task {self.task!r} is neither built in ({', '.join(BUILT_IN_TASKS)}) nor of the form module:function"
            )
        return self

    @model_validator(mode="after")
    def _data_suit_the_task(self) -> Self:
        for task, path, suitable in (
            ("image-classification", BUILT_IN_TEXT, BUILT_IN_IMAGES),
            ("language-model", BUILT_IN_IMAGES, BUILT_IN_TEXT),
        ):
            if (self.task, self.dataset.path) == (task, path):
                raise ValueError(f"dataset.path {path!r} is not for {task}: use {suitable!r}, or data of your own")
        if self.task == "language-model" and self.dataset.format != "Auto":
            raise ValueError(f"dataset.format {self.dataset.format} is for images: leave it out for language-model")
        return self

    @field_validator("volumes")
    @classmethod
    def _mount_paths_are_unique(cls, volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
        paths = [volume.mount_path for volume in volumes]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"two volumes are mounted at {path!r}: mount paths must be unique")
        return volumes

    @field_validator("environment")
    @classmethod
    def _names_can_be_set(cls, environment: dict[str, str]) -> dict[str, str]:
        for name in environment:
            if not re.match(ENVIRONMENT_NAME_PATTERN, name):
                raise ValueError(f"{name!r} is not the name of an environment variable: use letters, digits and _")
        return environment

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
