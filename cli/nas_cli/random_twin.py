"""The random twin of a search: the paper's control experiment (section 5), the same search without a policy."""

from pathlib import Path

from nas_api.spec import NASSearch

from nas_cli.failure import BadInput

_SUFFIX = "-random"
_LONGEST_NAME = 52


def random_twin(search: NASSearch) -> NASSearch:
    """The same search with uniform random proposals: the same space, training, reward, budget and seed.

    Raises:
        BadInput: `search` is random itself.
    """
    controller = search.spec.controller
    if controller.algorithm.type == "Random":
        raise BadInput("controller.algorithm.type is Random already: the search is its own random twin")
    algorithm = controller.algorithm.model_copy(update={"type": "Random"})
    spec = search.spec.model_copy(update={"controller": controller.model_copy(update={"algorithm": algorithm})})
    metadata = search.metadata.model_copy(update={"name": twin_name(search.metadata.name)})
    return search.model_copy(update={"spec": spec, "metadata": metadata})


def twin_name(name: str) -> str:
    """The name of the random twin of the search of that name."""
    return name[: _LONGEST_NAME - len(_SUFFIX)] + _SUFFIX


def twin_directory(state: Path) -> Path:
    """The state directory of the random twin of the search in `state`: beside it."""
    if state.name in ("", ".."):
        state = state.resolve()
    return state.with_name(state.name + _SUFFIX)
