"""Architectures of an earlier search, to begin another one with (`controller.bootstrap`)."""

import json
from pathlib import Path
from typing import Any

from nas_api.manifest import ManifestError, load_manifest
from nas_api.spec import NASSearch, NASSearchSpec

from nas_cli.failure import BadInput
from nas_cli.results import open_results
from nas_cli.search_results import SearchResults
from nas_cli.state_directory import StateDirectory


def check_bootstrap(spec: NASSearchSpec) -> None:
    """Checks that the bootstrap architectures are in the search space.

    Raises:
        BadInput: some are not; it says which, and what is wrong with each.
    """
    from nas_controller.bootstrap import BootstrapError, bootstrap_proposals

    try:
        bootstrap_proposals(spec.controller.bootstrap, spec.search_space)
    except BootstrapError as error:
        raise BadInput(str(error)) from error


def best_architectures(results: SearchResults, top: int) -> list[dict[str, Any]]:
    """The `top` best architectures of a search, best first, no network twice, as they stand in a manifest.

    Raises:
        BadInput: no trial of it has succeeded.
        Failure: the search does not tell its architectures, see `StatusResults`.
    """
    found: dict[str, dict[str, Any]] = {}
    for record in results.best(1_000_000):
        if record.sampled.digest in found:
            continue
        known = record if record.sampled.architecture else results.trial(str(record.sampled.trial))
        found[record.sampled.digest] = json.loads(known.sampled.architecture)
        if len(found) == top:
            break
    if not found:
        raise BadInput(f"no trial of {results.name} has succeeded, so there is no architecture to begin with")
    return list(found.values())


def warm_started(search: NASSearch, directory: StateDirectory, earlier: Path | None, top: int) -> NASSearch:
    """`search` with the best architectures of an earlier one to begin with.

    A search that has begun goes on with what it began with, whatever the earlier one has found since.

    Raises:
        BadInput: there are none, some are not in the space, or the search has begun without them.
    """
    if directory.manifest.exists():
        try:
            begun = load_manifest(directory.manifest).spec.controller.bootstrap
        except ManifestError as error:
            raise BadInput(f"the state directory {directory.path} cannot be taken up again: {error}") from error
        if begun.architectures and (earlier is not None or not search.spec.controller.bootstrap.architectures):
            return _beginning_with(search, begun.model_dump(mode="json")["architectures"])
        if earlier is not None:
            raise BadInput(
                f"{directory.path} holds a search that has begun without a warm start: leave --warm-start out to go on "
                "with it, or start anew in another directory with --state DIR"
            )
    if earlier is None:
        return search
    if search.spec.controller.bootstrap.architectures:
        raise BadInput("the manifest has a controller.bootstrap, and --warm-start makes one: leave one of them out")
    with open_results(earlier) as results:
        return _beginning_with(search, best_architectures(results, top))


def _beginning_with(search: NASSearch, architectures: list[dict[str, Any]]) -> NASSearch:
    value = search.model_dump(mode="json", exclude_unset=True, exclude={"status"})
    value.setdefault("spec", {}).setdefault("controller", {})["bootstrap"] = {"architectures": architectures}
    try:
        bootstrapped = NASSearch.model_validate(value)
    except ValueError as error:
        raise BadInput(f"the earlier search is of another kind: {error}") from error
    check_bootstrap(bootstrapped.spec)
    return bootstrapped
