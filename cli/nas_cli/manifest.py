"""Reads a manifest for a command, and says in words what it asks for."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from nas_api.spec import ConvNetSpace, DiscreteSpace, NASSearch, NASSearchSpec, RecurrentCellSpace, SearchSpace

from nas_cli.bootstrap import check_bootstrap
from nas_cli.failure import BadInput


def read_manifest(file: Path, overrides: Sequence[str] | None) -> NASSearch:
    """The search in `file`, with fields set as by `--set path=value`.

    Raises:
        BadInput: it is no valid manifest, or names architectures that are not in its search space.
    """
    from nas_api.manifest import ManifestError, load_manifest

    try:
        search = load_manifest(file, overrides or [])
    except ManifestError as error:
        raise BadInput(str(error)) from error
    check_bootstrap(search.spec)
    return search


def describe(search: NASSearch) -> str:
    """A few lines on what a search is, for a person who checks what they have written."""
    spec = search.spec
    trainer, dataset = spec.trainer, spec.trainer.dataset
    bounds = [
        f"{spec.budget.max_trials} trials" if spec.budget.max_trials is not None else "",
        spec.budget.max_duration or "",
        f"a reward of {spec.budget.target_reward:g}" if spec.budget.target_reward is not None else "",
    ]
    algorithm = spec.controller.algorithm
    rate = f", learning rate {algorithm.reinforce.learning_rate:g}" if algorithm.type == "REINFORCE" else ""
    data = {
        "image-classification": f" on {dataset.path}, {dataset.validation_fraction:.0%} of it for validation",
        "language-model": f" on {trainer.language_model.level.lower()} of {dataset.path}",
    }.get(trainer.task, "")
    epochs = "1 epoch" if trainer.epochs == 1 else f"{trainer.epochs} epochs"
    reward = spec.reward
    window = f" of the last {reward.window} reports" if reward.window else ""
    lines = {
        "search": search.full_name,
        "space": _describe_space(spec.search_space),
        "algorithm": f"{algorithm.type}, batches of {spec.controller.batch_size} architectures{rate}",
        "training": f"{trainer.task}, {epochs} of batches of {trainer.batch_size}{data}",
        "reward": f"{reward.scale:g} * {reward.aggregate.lower()}({reward.metric}{window}) ^ {reward.exponent:g}",
        "savings": _describe_savings(spec),
        "ends at": " or ".join(bound for bound in bounds if bound) or "no bound: stop it with Ctrl-C",
        "pools": ", ".join(f"{pool.name} ({pool.replicas})" for pool in spec.pools),
    }
    return "\n".join(f"{name:<10} {text}" for name, text in lines.items())


def _describe_savings(spec: NASSearchSpec) -> str:
    controller = spec.controller
    begins = len(controller.bootstrap.architectures)
    return ", ".join(
        part
        for part in (
            "duplicates are replayed" if controller.duplicates == "Replay" else "duplicates are trained again",
            f"early stopping by {controller.early_stopping.type}" if controller.early_stopping.type != "None" else "",
            "cheap first trainings" if controller.low_fidelity.enabled else "",
            f"begins with {begins} architectures" if begins else "",
        )
        if part
    )


def _describe_space(space: SearchSpace) -> str:
    match space.type:
        case "ConvNet":
            return _describe_convnets(space.conv_net)
        case "RecurrentCell":
            return _describe_cells(space.recurrent_cell)
        case "Discrete":
            return _describe_choices(space.discrete)


def _describe_cells(space: RecurrentCellSpace) -> str:
    return (
        f"recurrent cells of base {space.base}: {', '.join(space.combinations)} with "
        f"{', '.join(space.activations)}; {_size(space.size())} cells"
    )


def _describe_choices(space: DiscreteSpace) -> str:
    names = [
        f"{entry.repeat} times {entry.name} ({', '.join(choice.name for choice in entry.choices)})"
        if entry.choices
        else entry.name
        for entry in space.choices
    ]
    return f"choices {', '.join(names)}; {_size(space.size())} architectures"


def _size(count: int | None) -> str:
    if count is None:
        return "too many conditions to count the"
    return f"{count:,}" if count < 10**6 else f"{Decimal(count):.1e}".replace("e+", "e")


def _describe_convnets(space: ConvNetSpace) -> str:
    depth = space.layers
    layers = (
        f"{depth.initial}" if depth.initial == depth.max or not depth.increment else f"{depth.initial} to {depth.max}"
    )
    skips = "skip connections" if space.skip_connections else "no skip connections"
    return (
        f"{layers} layers of {', '.join(space.layer_types)}; filters {_list(space.filters)} of height "
        f"{_list(space.filter_heights)} and width {_list(space.filter_widths)}, strides {_list(space.strides)}; "
        f"{skips}; {_size(space.size(depth.max))} networks of {depth.max} layers"
    )


def _list(choices: Sequence[int]) -> str:
    return "/".join(map(str, choices))
