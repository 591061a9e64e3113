"""Reads the searches that are to be compared from their state directories."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nas_api.spec import NASSearch

from nas_cli.comparing.comparison import Group, make_group
from nas_cli.comparing.progression import Progression, progression
from nas_cli.failure import BadInput
from nas_cli.results import open_results


def read_groups(arguments: Sequence[str]) -> tuple[list[Group], Mapping[Path, NASSearch]]:
    """The groups that are named as `[NAME=]DIR[,DIR...]`, and the manifest of each search.

    Raises:
        BadInput: a directory holds no search or one without results, or two groups have one name.
    """
    groups: list[Group] = []
    searches: dict[Path, NASSearch] = {}
    for argument in arguments:
        name, directories = _parse(argument)
        if any(group.name == name for group in groups):
            raise BadInput(f"two groups are named {name}: name them apart, as in a={directories[0]}")
        runs: list[Progression] = []
        for directory in directories:
            with open_results(directory) as results:
                finished = results.finished()
                searches[directory] = results.search
            if not finished:
                raise BadInput(f"no trial of {directory} has finished yet: there is nothing to compare")
            runs.append(progression(finished))
        groups.append(make_group(name, runs))
    return groups, searches


def _parse(argument: str) -> tuple[str, list[Path]]:
    if Path(argument).is_dir():  # whatever signs are in its name
        return Path(argument).resolve().name, [Path(argument)]
    name, equals, listed = argument.partition("=")
    directories = [Path(each) for each in (listed if equals else name).split(",") if each]
    if not directories or (equals and not name):
        raise BadInput(f"{argument!r} is not of the form DIR or NAME=DIR,DIR")
    if len(set(directories)) < len(directories):
        raise BadInput(f"{argument!r} names a directory twice: each search counts once")
    return name if equals else directories[0].resolve().name, directories


def incomparable(searches: Mapping[Path, NASSearch]) -> Iterator[str]:
    """Why rewards of some of the searches do not mean the same."""
    (first, reference), *others = searches.items()
    for directory, search in others:
        for section, ours, theirs in (
            ("spec.reward", search.spec.reward, reference.spec.reward),
            ("spec.trainer", search.spec.trainer, reference.spec.trainer),
        ):
            if ours != theirs:
                yield f"{section} of {directory} differs from that of {first}: their rewards may not mean the same"
