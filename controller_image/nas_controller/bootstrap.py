"""What `controller.bootstrap` asks a search to begin with, as decisions of its space."""

import hashlib

from nas_api.architectures import Architecture, ConvNet
from nas_api.spec import Bootstrap, SearchSpace

from nas_controller.proposal import Proposal
from nas_controller.spaces import Space, build_space


class BootstrapError(ValueError):
    """Architectures that are not in the space: the message has a line for each, with what is wrong with it."""


def bootstrap_proposals(bootstrap: Bootstrap, search_space: SearchSpace) -> tuple[Proposal, ...]:
    """The decisions that lead to each architecture of `bootstrap`.

    Raises:
        BootstrapError: some of them are not in the space.
    """
    space = build_space(search_space)
    proposals: list[Proposal] = []
    faults: list[str] = []
    for index, given in enumerate(bootstrap.architectures):
        architecture: Architecture = given.architecture
        try:
            proposals.append(Proposal(space.encode(architecture), _depth(architecture, space)))
        except ValueError as error:
            faults.append(f"controller.bootstrap.architectures[{index}] is not in the search space: {error}")
    if faults:
        raise BootstrapError("\n".join(faults))
    return tuple(proposals)


def bootstrap_fact(bootstrap: Bootstrap) -> str:
    """What tells one bootstrap from another, to remember. Empty without one."""
    digests = ",".join(given.architecture.digest for given in bootstrap.architectures)
    return hashlib.sha256(digests.encode()).hexdigest() if digests else ""


def _depth(architecture: Architecture, space: Space) -> int:
    return len(architecture.layers) if isinstance(architecture, ConvNet) else space.depth(0)
