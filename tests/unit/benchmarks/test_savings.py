"""Searches that meet curves in the place of trainings: what they count as trained, stopped and saved."""

import json
from pathlib import Path

import pytest
import savings
from nas_api.architectures import ConvNet, Convolution
from tabular_benchmark.contestants import parse_contestant

EPOCHS, FIRST_EPOCHS = 12, 4
TRIALS = 100  # of 512 networks: some trials are of one that was trained before


def curve(accuracy: float, epochs: int) -> savings.Curve:
    """One that is flat, with a second for each epoch."""
    return savings.Curve([accuracy] * epochs, [float(epoch) for epoch in range(1, epochs + 1)])


@pytest.fixture(scope="module")
def networks() -> dict[str, savings.Network]:
    """The smaller, the better."""

    def accuracy(network: ConvNet) -> float:
        sizes = [layer.operation for layer in network.layers if isinstance(layer.operation, Convolution)]
        return 0.9 - 0.01 * sum(size.filter_height + size.filter_width + size.filters for size in sizes)

    return {
        network.digest: savings.Network(curve(accuracy(network), EPOCHS), curve(accuracy(network), FIRST_EPOCHS))
        for network in savings.every_network()
    }


def course(networks: dict[str, savings.Network], algorithm: str, target: float = 0.4) -> savings.Course:
    return savings.search(parse_contestant(algorithm), networks, target, trials=TRIALS, seed=0)


def test_the_networks_are_those_of_the_search_space(networks: dict[str, savings.Network]) -> None:
    """Each that a search proposes has curves: another would be a KeyError."""
    assert len(networks) == 512


def test_a_search_that_trains_everything_takes_all_seconds(networks: dict[str, savings.Network]) -> None:
    assert course(networks, "Random:duplicates=Train").seconds == TRIALS * EPOCHS


def test_replays_cost_nothing_and_change_nothing(networks: dict[str, savings.Network]) -> None:
    replayed, trained = course(networks, "Random"), course(networks, "Random:duplicates=Train")
    assert replayed.seconds < trained.seconds
    assert replayed.best == trained.best


@pytest.mark.parametrize("rule", ["Median", "ASHA"])
def test_a_stopped_training_costs_what_it_took_until_then(networks: dict[str, savings.Network], rule: str) -> None:
    stopped = course(networks, f"Random:controller.earlyStopping.type={rule}")
    assert stopped.seconds < course(networks, "Random").seconds


def test_low_fidelity_trains_a_third_of_the_networks_in_full(networks: dict[str, savings.Network]) -> None:
    """After a few that have nothing to be compared with."""
    cheap, replayed = (
        course(networks, f"Random:controller.lowFidelity.epochs={FIRST_EPOCHS}"),
        course(networks, "Random"),
    )
    proposed = replayed.seconds / EPOCHS
    assert cheap.seconds < FIRST_EPOCHS * proposed + 0.5 * replayed.seconds


def test_the_target_is_reached_by_the_first_full_training_that_is_as_good(networks: dict[str, savings.Network]) -> None:
    found, in_vain = course(networks, "Random", target=0.2), course(networks, "Random", target=1.0)
    assert found.reached
    assert found.to_target < found.seconds
    assert not in_vain.reached
    assert in_vain.to_target == in_vain.seconds == found.seconds


def test_curves_are_read_as_they_were_written(networks: dict[str, savings.Network], tmp_path: Path) -> None:
    savings.write_curves(tmp_path / "runs" / "curves.json", networks)
    assert savings.read_curves(tmp_path / "runs" / "curves.json") == networks


def test_networks_are_trained_for_real() -> None:
    """On the digits, in full and for a first training."""
    network = savings.every_network()[-1]
    [(digest, trained)] = savings.trained([network], jobs=1).items()
    assert digest == network.digest
    assert len(trained.full.accuracies) == len(trained.full.seconds) == EPOCHS
    assert len(trained.first.accuracies) == FIRST_EPOCHS
    assert trained.full.accuracies[-1] > 0.2  # ten classes: chance is 0.1
    assert trained.full.seconds == sorted(trained.full.seconds)


def test_ratios_are_to_the_first_algorithm(
    networks: dict[str, savings.Network],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    savings.write_curves(tmp_path / "curves.json", networks)
    words = ["savings.py", "--trials", "30", "--seeds", "1", "--jobs", "1", "--curves", str(tmp_path / "curves.json")]
    monkeypatch.setattr(
        "sys.argv",
        [*words, "--algorithms", "all=Random:duplicates=Train", "asha=Random:controller.earlyStopping.type=ASHA"],
    )
    savings.main()
    measured = json.loads(capsys.readouterr().out)
    assert measured["seconds"] == 30 * EPOCHS
    everything, stopped = measured["algorithms"]
    assert everything["seconds_ratio"]["mean"] == 1
    assert stopped["seconds_ratio"]["mean"] < 1


def test_a_setting_that_is_not_known_is_told_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["savings.py", "--algorithms", "Random:rule=ASHA", "--curves", str(tmp_path / "c")])
    with pytest.raises(SystemExit):
        savings.main()
    assert "no setting 'rule'" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
