"""A state directory is made ready for a run, or it is said why it cannot be."""

from pathlib import Path

import pytest
from nas_api.certificates import KeyPair
from nas_api.manifest import load_manifest
from nas_api.spec import NASSearch
from nas_cli.failure import BadInput, Failure
from nas_cli.running.preparation import prepare
from nas_cli.state_directory import StateDirectory


def search(state: Path, *overrides: str) -> NASSearch:
    return load_manifest(state / "search.yaml", overrides)


def test_a_first_run_writes_the_manifest_and_certificates(state: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    wanted = search(state, "spec.budget.maxTrials=unlimited", "spec.pools[0].name=gpus", "spec.pools[0].replicas=2")
    assert not prepare(StateDirectory(new), wanted)
    assert load_manifest(new / "search.yaml") == wanted
    pairs = [KeyPair.read(new / "certificates" / name) for name in ("server", "admin", "worker/gpus")]
    assert len({pair.ca for pair in pairs}) == 1
    assert len({pair.private_key for pair in pairs}) == 3
    assert (new / "certificates" / "admin" / "tls.key").stat().st_mode & 0o077 == 0


def test_each_run_has_an_authority_of_its_own(state: Path) -> None:
    prepare(StateDirectory(state), search(state))
    first = KeyPair.read(state / "certificates" / "server")
    prepare(StateDirectory(state), search(state))
    assert KeyPair.read(state / "certificates" / "server").ca != first.ca


def test_what_may_be_edited_is_applied(state: Path) -> None:
    assert not prepare(StateDirectory(state), search(state, "spec.budget.maxTrials=99"))
    assert load_manifest(state / "search.yaml").spec.budget.max_trials == 99


@pytest.mark.parametrize("override", ["spec.searchSpace.convNet.filters=[8]", "spec.seed=5", "metadata.name=other"])
def test_another_search_is_refused_and_nothing_changed(state: Path, override: str) -> None:
    before = (state / "search.yaml").read_text()
    with pytest.raises(BadInput, match="cannot be changed once it has begun") as refused:
        prepare(StateDirectory(state), search(state, override))
    assert override.partition("=")[0].partition("[")[0] in str(refused.value)
    assert (state / "search.yaml").read_text() == before


def test_a_search_whose_budget_is_spent_has_ended(state: Path) -> None:
    assert prepare(StateDirectory(state), search(state, "spec.budget.maxTrials=8"))
    assert not prepare(StateDirectory(state), search(state, "spec.budget.maxTrials=9"))


def test_a_search_that_failed_goes_on_when_it_is_run_again(state: Path) -> None:
    assert not prepare(StateDirectory(state), search(state, "spec.budget.maxConsecutiveFailures=1"))


def test_a_suspended_search_does_not_begin(state: Path) -> None:
    with pytest.raises(BadInput, match=r"spec\.suspend is true"):
        prepare(StateDirectory(state), search(state, "spec.suspend=true"))


def test_a_damaged_manifest_in_the_state_directory_is_told(state: Path) -> None:
    wanted = search(state)
    (state / "search.yaml").write_text("kind: [")
    with pytest.raises(Failure, match="cannot be taken up again"):
        prepare(StateDirectory(state), wanted)
