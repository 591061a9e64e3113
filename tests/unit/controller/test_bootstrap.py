"""A search that begins with given architectures: they are trained first, and the policy goes on from them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from nas_api.architectures import ImageShape, parse_architecture
from nas_api.spec import NASSearch, Policy, SearchSpace
from nas_controller.algorithms.imitation import imitate
from nas_controller.algorithms.random_search import RandomSearch
from nas_controller.bootstrap import BootstrapError, bootstrap_proposals
from nas_controller.constraints import NoAcceptableArchitectureError
from nas_controller.data_shape import DataShape
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.policy import LSTMPolicy
from nas_controller.proposal import Proposal
from nas_controller.search import Search
from nas_controller.spaces import build_space

torch.set_num_threads(1)

CELLS = {"type": "RecurrentCell", "recurrentCell": {"base": 4}}
CHOICES = {
    "type": "Discrete",
    "discrete": {"choices": [{"name": name, "values": [1, 2, 3, 4]} for name in ("width", "heads", "depth")]},
}
SPACES: dict[str, dict[str, Any]] = {"ConvNet": {}, "RecurrentCell": CELLS, "Discrete": CHOICES}


def some(space: dict[str, Any], count: int, depth: int | None = None, seed: int = 1) -> list[dict[str, Any]]:
    """Random architectures of a space, as they stand in a manifest."""
    known = build_space(SearchSpace.model_validate(space))
    depth = depth or known.depth(0)
    return [
        json.loads(known.decode(proposal.decisions, depth).to_json())
        for proposal in RandomSearch(known).propose(count, depth, seed)
    ]


def manifest(
    architectures: Sequence[dict[str, Any]], space: dict[str, Any] | None = None, algorithm: str = "REINFORCE"
) -> NASSearch:
    spec: dict[str, Any] = {
        "searchSpace": space or {},
        "controller": {
            "bootstrap": {"architectures": list(architectures)},
            "duplicates": "Train",
            "algorithm": {"type": algorithm},
            "parallelism": {"batchSize": 4},
        },
    }
    if space and space["type"] != "ConvNet":
        spec |= {"trainer": {"task": "mine:task"}, "reward": {"metric": "mine"}}
    return NASSearch.model_validate(
        {"apiVersion": "kubenas.dev/v1alpha1", "kind": "NASSearch", "metadata": {"name": "test"}, "spec": spec}
    )


def journal(path: Path | str = ":memory:") -> SqliteJournal:
    return SqliteJournal(path, "default/test")


def digests(architectures: Sequence[dict[str, Any]]) -> list[str]:
    return [parse_architecture(json.dumps(each)).digest for each in architectures]


@pytest.mark.parametrize("algorithm", ["REINFORCE", "PPO", "LocalSearch", "Random"])
@pytest.mark.parametrize("kind", SPACES)
def test_the_given_architectures_are_trained_first_in_their_order(kind: str, algorithm: str) -> None:
    given = some(SPACES[kind], 6)
    search = Search(manifest(given, SPACES[kind] or None, algorithm), journal())
    asked = [search.ask(1)[0] for _ in range(8)]
    assert [trial.architecture.digest for trial in asked[:6]] == digests(given)
    for trial in asked:
        search.tell(trial, 0.5)
    assert search.engine.version == 2, "they are learnt from in batches, as others are"


def test_networks_of_other_depths_than_the_schedules_can_begin_a_search() -> None:
    given = [*some({}, 1, depth=3), *some({}, 1, depth=9)]
    search = Search(manifest(given), journal())
    asked = search.ask(4)
    assert [len(trial.architecture.layers) for trial in asked] == [3, 9, 6, 6]
    for trial in asked:
        search.tell(trial, 0.5)
    assert search.engine.version == 1


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("kind", ["ConvNet", "RecurrentCell"])
def test_the_fit_makes_the_given_architectures_far_more_likely_and_leaves_the_policy_undecided(
    kind: str, count: int
) -> None:
    search_space = SearchSpace.model_validate(SPACES[kind])
    space = build_space(search_space)
    depth = space.depth(0)
    given = RandomSearch(space).propose(count, depth, 1)
    policy = LSTMPolicy(space, Policy(), torch.Generator().manual_seed(0))
    before = policy.evaluate(given)
    imitate(policy, given)
    after = policy.evaluate(given)
    assert after.log_probability.mean() > before.log_probability.mean() / 2
    samples = policy.sample(100, depth, torch.Generator().manual_seed(1)).proposals
    assert len(set(samples)) > 50
    assert policy.evaluate(samples).entropy.mean() > 0.3 * before.entropy.mean()


def test_a_space_with_nothing_to_choose_has_nothing_to_fit() -> None:
    layers = {"initial": 1, "max": 1}
    one = {"layers": layers, "filters": [8], "filterHeights": [1], "filterWidths": [1], "strides": [1]}
    space = build_space(SearchSpace.model_validate({"convNet": one}))
    imitate(LSTMPolicy(space, Policy(), torch.Generator().manual_seed(0)), [Proposal((), 1)])


def test_a_search_taken_up_before_its_first_update_goes_on_from_the_same_policy(tmp_path: Path) -> None:
    given = some({}, 2)

    def run(path: Path, *, restart: bool) -> bytes:
        records = journal(path)
        search = Search(manifest(given), records)
        asked = search.ask(4)
        if restart:
            records.close()
            records = journal(path)
            search = Search(manifest(given), records)
            asked = search.ask(4)
        for trial in sorted(asked, key=lambda trial: trial.number):
            search.tell(trial, trial.number / 4)
        policy = records.recover().snapshots[1]
        records.close()
        return policy

    assert run(tmp_path / "killed.sqlite", restart=True) == run(tmp_path / "whole.sqlite", restart=False)


def test_what_a_search_began_with_cannot_be_changed(tmp_path: Path) -> None:
    given = some({}, 2)
    with journal(tmp_path / "journal.sqlite") as records:
        Search(manifest(given), records).ask(1)
    with journal(tmp_path / "journal.sqlite") as records, pytest.raises(ValueError, match=r"controller\.bootstrap"):
        Search(manifest(given[:1]), records)


# What cannot be begun with. -------------------------------------------------------------------------------------------


def test_each_architecture_outside_the_space_is_named_with_what_is_wrong_with_it() -> None:
    good, wide, deep = some({}, 3)
    wide["layers"][2]["operation"]["filters"] = 25
    deep["layers"] *= 4
    search = manifest([good, wide, deep])
    with pytest.raises(BootstrapError) as caught:
        bootstrap_proposals(search.spec.controller.bootstrap, search.spec.search_space)
    assert str(caught.value).splitlines() == [
        "controller.bootstrap.architectures[1] is not in the search space: layer 2: filters is 25, "
        "not one of 24, 36, 48, 64",
        "controller.bootstrap.architectures[2] is not in the search space: the network has 24 layers, "
        "and layers.max is 20",
    ]


def test_an_architecture_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"architectures\[0\] is a RecurrentCell, and searchSpace.type is ConvNet"):
        manifest(some(CELLS, 1))


def test_what_is_no_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="is no ConvNet: layers: Field required"):
        manifest([{"type": "ConvNet", "layer": []}])


def test_the_same_network_twice_is_refused() -> None:
    (network,) = some({}, 1)
    with pytest.raises(ValueError, match=r"architectures\[1\] is the same network as architectures\[0\]"):
        manifest([network, network])


def test_an_architecture_that_breaks_the_constraints_is_named() -> None:
    given = some({}, 1)
    space = {"type": "ConvNet", "convNet": {"constraints": {"maxParameters": 100}}}
    search = Search(manifest(given, space), journal(), DataShape(ImageShape(1, 8, 8), 10))
    with pytest.raises(NoAcceptableArchitectureError, match=r"architectures\[0\] has [\d,]+ parameters"):
        search.ask(1)
