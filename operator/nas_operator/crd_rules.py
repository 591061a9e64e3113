"""What the API server checks beyond types: rules in CEL, in words a user can act on.

The models check the same in Python. A rule stands at the object that it is about, so that a message names the place.
"""

from dataclasses import dataclass

from nas_api.spec.controller import SEVERAL_STEPS
from nas_api.spec.early_stopping import EarlyStopping
from nas_api.spec.final_training import Grid
from nas_api.spec.nassearch import IMMUTABLE_FIELDS
from nas_api.spec.trainer import (
    BUILT_IN_IMAGES,
    BUILT_IN_TASKS,
    BUILT_IN_TEXT,
    ENVIRONMENT_NAME_PATTERN,
    LOWER_IS_BETTER,
    RESERVED_MOUNT_PATHS,
    TRAINED_SPACES,
    USER_TASK_PATTERN,
)
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `x-kubernetes-validations`.

    Attributes:
        path: of the field it stands at, such as `spec.pools[].tolerations[]` for each toleration.
        expression: in CEL; `self` is the field, `oldSelf` what it was before an update.
        message: to the user when it is false.
    """

    path: str
    expression: str
    message: str


def _immutable(path: str, because: str) -> Rule:
    return Rule(path, "self == oldSelf", f"{path} is immutable: {because}")


_ANOTHER_SEARCH = "the results so far depend on it. Make a new NASSearch"
_TASKS = ", ".join(f"'{task}'" for task in BUILT_IN_TASKS)
_CHOICES = (
    *(
        f"convNet.{choices}"
        for choices in ("layerTypes", "filterHeights", "filterWidths", "filters", "strides", "poolSizes", "poolStrides")
    ),
    "recurrentCell.combinations",
    "recurrentCell.activations",
)
_GRID = tuple(to_camel(name) for name in Grid.model_fields if name != "parameters")
_DURATIONS = (
    "spec.budget.maxDuration",
    "spec.trainer.timeout",
    "spec.finalTraining.timeout",
    "spec.controller.lease.duration",
    "spec.controller.ttlAfterFinished",
    "spec.pools[].drainTimeout",
)
_LOWER = " || ".join(f"self.reward.metric.endsWith('{end}')" for end in LOWER_IS_BETTER)
# Where each rule of early stopping says at which step it begins, and that step if nothing is said.
_FIRST_STEPS = {
    rule: EarlyStopping.model_validate({"type": rule}).first_step for rule in ("Median", "ASHA", "CurveExtrapolation")
}
_CONSTRAINTS = "self.searchSpace.convNet.constraints"

NASSEARCH_RULES = (
    Rule(
        "", "self.metadata.name.size() <= 52", "metadata.name must have at most 52 characters: pods are named after it"
    ),
    Rule("", "!self.metadata.name.contains('.')", "metadata.name must have no dots: Services are named after it"),
    *(_immutable(f"spec.{field}", _ANOTHER_SEARCH) for field in IMMUTABLE_FIELDS),
    _immutable(
        "spec.controller.storage",
        "the volume is made by it once. Resize the PersistentVolumeClaim journal-NAME-controller-0 instead. "
        "Make a new NASSearch for another class of storage",
    ),
    Rule(
        "spec.searchSpace.convNet.layers",
        "self.max >= self.initial",
        "max must not be less than initial",
    ),
    *(
        Rule(
            f"spec.searchSpace.{choices}",
            "self.all(choice, self.exists_one(other, other == choice))",
            f"{choices.rpartition('.')[2]} lists a choice twice",
        )
        for choices in _CHOICES
    ),
    *(
        Rule(
            f"spec.finalTraining.grid.{values}",
            "self.all(value, self.exists_one(other, other == value))",
            f"{values} lists a value twice: to train it again, set finalTraining.repeats",
        )
        for values in _GRID
    ),
    Rule(
        "spec.searchSpace.convNet.layerTypes",
        "'Convolution' in self",
        "layerTypes must include Convolution: pooling and normalisation alone learn nothing",
    ),
    Rule(
        "spec.searchSpace",
        "self.type != 'Discrete' || self.discrete.choices.size() > 0",
        "type Discrete needs discrete.choices: list what can be chosen",
    ),
    *(
        Rule(
            path,
            "self.all(choice, self.exists_one(other, other.name == choice.name))",
            "two choices have the same name: names must be unique",
        )
        for path in ("spec.searchSpace.discrete.choices", "spec.searchSpace.discrete.choices[].choices")
    ),
    Rule(
        "spec.searchSpace.discrete.choices[]",
        "self.choices.size() == 0 || has(self.repeat)",
        "repeat and choices go together: a repeat needs choices, and choices a repeat",
    ),
    Rule(
        "spec.controller",
        f"self.parallelism.gradientsPerUpdate == 1 || !(self.algorithm.type in {list(SEVERAL_STEPS)})",
        f"parallelism.gradientsPerUpdate must be 1 with algorithm.type {' and '.join(SEVERAL_STEPS)}, which make "
        "several steps from each batch: to learn from more architectures at a time, set parallelism.batchSize",
    ),
    *(
        Rule(
            path,
            f"type(self) == int ? self >= 1 && self <= {most} : self == '{word}'",
            f"{path.rpartition('.')[2]} must be {word} or an integer from 1 to {most:,}",
        )
        for path, most, word in (
            ("spec.controller.parallelism.replicas", 10_000, "auto"),
            ("spec.controller.parallelism.batchSize", 1000, "auto"),
            ("spec.budget.maxTrials", 10_000_000, "unlimited"),
            ("spec.reward.window", 100_000, "all"),
        )
    ),
    Rule(
        "spec.trainer.task",
        f"self in [{_TASKS}] || self.matches('{USER_TASK_PATTERN}')",
        f"task must be {', '.join(BUILT_IN_TASKS)} or of the form module:function",
    ),
    Rule(
        "spec.trainer",
        "self.optimizer.warmupEpochs <= double(self.epochs)",
        "optimizer.warmupEpochs must not be more than epochs",
    ),
    *(
        Rule(
            "spec.trainer",
            f"self.task != '{task}' || self.dataset.path != '{path}'",
            f"dataset.path '{path}' is not for {task}: use '{suitable}', or data of your own",
        )
        for task, path, suitable in (
            ("image-classification", BUILT_IN_TEXT, BUILT_IN_IMAGES),
            ("language-model", BUILT_IN_IMAGES, BUILT_IN_TEXT),
        )
    ),
    Rule(
        "spec.trainer",
        "self.task != 'language-model' || self.dataset.format == 'Auto'",
        "dataset.format is for images: leave it out for language-model",
    ),
    Rule(
        "spec.trainer.languageModel",
        "!self.sharedEmbeddings || !has(self.embeddingSize) || self.embeddingSize == self.hiddenSize",
        "sharedEmbeddings need embeddingSize and hiddenSize to be equal: leave embeddingSize out",
    ),
    Rule(
        "spec.reward",
        "self.scale != 0.0 && self.exponent != 0.0",
        "scale and exponent must not be zero: every architecture would have the same reward",
    ),
    Rule(
        "spec.reward",
        "self.scale > 0.0 || self.failedTrial.reward < 0.0",
        "scale makes rewards negative, and a failed trial would be the best: set failedTrial.reward below the reward "
        "of any that trains",
    ),
    *(
        Rule(
            "spec",
            f"self.trainer.task != '{task}' || self.searchSpace.type == '{space}'",
            f"trainer.task {task} trains a {space}: set searchSpace.type to it, or change the task. A task of your own "
            "(module:function) can train anything",
        )
        for task, space in TRAINED_SPACES.items()
    ),
    Rule(
        "spec",
        f"self.searchSpace.type != 'ConvNet' || self.trainer.task in [{_TASKS}] || "
        f"!(has({_CONSTRAINTS}.maxParameters) || has({_CONSTRAINTS}.maxFlops))",
        "searchSpace.convNet.constraints need the shape of the data, which is known of built-in tasks alone: "
        "leave them out, or check the size in your task",
    ),
    *(
        Rule(
            "spec",
            f"self.trainer.task != '{task}' || self.reward.metric in [{', '.join(repr(m) for m in metrics)}]",
            f"reward.metric is not reported by {task}, which reports {', '.join(metrics)}",
        )
        for task, metrics in BUILT_IN_TASKS.items()
    ),
    Rule(
        "spec",
        f"!(self.trainer.task in [{_TASKS}]) || (self.reward.scale * self.reward.exponent > 0.0) != ({_LOWER})",
        "reward.exponent prefers the worst of the metric: give it the other sign",
    ),
    *(
        Rule(
            path,
            "duration(self) > duration('0s') && duration(self) <= duration('87600h')",
            f"{path.rpartition('.')[2]} must be above zero and at most ten years (87600h)",
        )
        for path in _DURATIONS
    ),
    Rule(
        "spec",
        "!has(self.controller.lowFidelity.epochs) || self.controller.lowFidelity.epochs < self.trainer.epochs",
        "controller.lowFidelity.epochs must be less than trainer.epochs",
    ),
    Rule(
        "spec",
        "self.controller.lowFidelity.dataFraction == 1.0 || self.trainer.task != 'language-model'",
        "controller.lowFidelity.dataFraction is not for language-model: give its first training fewer epochs",
    ),
    Rule(
        "spec",
        "self.controller.bootstrap.architectures.all(given, given.type == self.searchSpace.type)",
        "controller.bootstrap.architectures must be of searchSpace.type",
    ),
    *(
        Rule(
            "spec",
            f"!(self.trainer.task in [{_TASKS}]) || self.controller.earlyStopping.type != '{rule}' || "
            f"(self.controller.earlyStopping.{field} < self.trainer.epochs && self.trainer.epochs > 1)",
            f"controller.earlyStopping.{field} must be less than trainer.epochs, or nothing can be stopped: it is "
            f"{default} if you do not set it",
        )
        for rule, (field, default) in _FIRST_STEPS.items()
    ),
    Rule(
        "spec.trainer.volumes[]",
        " && ".join(
            f"self.mountPath != '{path}' && !self.mountPath.startsWith('{path}/')" for path in RESERVED_MOUNT_PATHS
        ),
        f"mountPath is taken by KubeNAS ({', '.join(RESERVED_MOUNT_PATHS)}): use another, such as /data",
    ),
    Rule(
        "spec.trainer.volumes",
        "self.all(volume, self.exists_one(other, other.mountPath == volume.mountPath))",
        "two volumes are mounted at one path: mount paths must be unique",
    ),
    Rule(
        "spec.trainer.egress[].cidr",
        "isCIDR(self) && cidr(self) == cidr(self).masked()",
        "cidr must be a range of addresses such as 10.0.0.0/8, without bits that the range does not fix",
    ),
    Rule(
        "spec.trainer.environment",
        f"self.all(name, name.matches('{ENVIRONMENT_NAME_PATTERN}'))",
        "the name of an environment variable must be of letters, digits and _",
    ),
    *(
        rule
        for pods in ("spec.pools[]", "spec.controller")
        for rule in (
            Rule(
                f"{pods}.tolerations[]",
                "self.operator != 'Exists' || !has(self.value)",
                "operator Exists matches every value: leave value out, or use operator Equal",
            ),
            Rule(
                f"{pods}.tolerations[]",
                "self.operator != 'Equal' || has(self.key)",
                "operator Equal needs a key: name one, or use operator Exists to accept every taint",
            ),
            Rule(
                f"{pods}.tolerations[]",
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                "tolerationSeconds needs effect NoExecute",
            ),
            *(
                Rule(
                    f"{pods}.{field}",
                    "self.all(key, key.size() >= 1 && key.size() <= 253)",
                    f"a key of {field} must have 1 to 253 characters",
                )
                for field in ("resources", "nodeSelector")
            ),
        )
    ),
)

NASPOOL_RULES = (
    _immutable("spec.search", "make a pool in the other search"),
    _immutable("spec.pool", "make another pool"),
)
