"""Reads the searches that are to be compared."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from nas_api.spec import NASSearch

from nas_cli.comparing.comparison import Group, make_group
from nas_cli.comparing.progression import Progression, progression
from nas_cli.failure import BadInput
from nas_cli.search_results import SearchResults


def read_groups(
    arguments: Sequence[str], open_one: Callable[[str], AbstractContextManager[SearchResults]]
) -> tuple[list[Group], Mapping[str, NASSearch]]:
    """The groups that are named as `[NAME=]SEARCH[,SEARCH...]`, and the manifest of each search.

    Args:
        arguments: the groups.
        open_one: opens the results of a search, by its state directory or by its name in a cluster.

    Raises:
        BadInput: there is no such search or none of its trials has finished, or two groups have one name.
    """
    groups: list[Group] = []
    searches: dict[str, NASSearch] = {}
    for argument in arguments:
        name, members = _parse(argument)
        if any(group.name == name for group in groups):
            raise BadInput(f"two groups are named {name}: name them apart, as in a={members[0]}")
        runs: list[Progression] = []
        for member in members:
            with open_one(member) as results:
                finished = results.finished()
                searches[member] = results.search
            if not finished:
                raise BadInput(f"no trial of {member} has finished yet: there is nothing to compare")
            runs.append(progression(finished))
        groups.append(make_group(name, runs))
    return groups, searches


def _parse(argument: str) -> tuple[str, list[str]]:
    if Path(argument).is_dir():  # whatever signs are in its name
        return Path(argument).resolve().name, [argument]
    name, equals, listed = argument.partition("=")
    members = [each for each in (listed if equals else name).split(",") if each]
    if not members or (equals and not name):
        raise BadInput(f"{argument!r} is not of the form SEARCH or NAME=SEARCH,SEARCH")
    if len({Path(member) for member in members}) < len(members):
        raise BadInput(f"{argument!r} names a search twice: each counts once")
    return name if equals else Path(members[0]).resolve().name, members


def incomparable(searches: Mapping[str, NASSearch]) -> Iterator[str]:
    """Why rewards of some of the searches do not mean the same."""
    (first, reference), *others = searches.items()
    for member, search in others:
        for section, ours, theirs in (
            ("spec.reward", search.spec.reward, reference.spec.reward),
            ("spec.trainer", search.spec.trainer, reference.spec.trainer),
        ):
            if ours != theirs:
                yield f"{section} of {member} differs from that of {first}: their rewards may not mean the same"
