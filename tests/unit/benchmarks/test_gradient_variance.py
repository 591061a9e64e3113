"""The noise of gradients is told of searches of a table, and is that of their estimates."""

import json
from pathlib import Path

import gradient_variance
import pytest
import torch

from tests.unit.benchmarks.tables import write_table

torch.set_num_threads(1)


def test_noise_is_the_variance_of_estimates_and_signal_what_is_left_of_their_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, deviation = torch.tensor([3.0, -4.0, 0.0]).double(), torch.tensor([1.0, 2.0, 0.5]).double()
    estimates = mean + deviation * torch.randn(20_000, 3, generator=generator, dtype=torch.float64)

    noise, signal = gradient_variance.noise_and_signal(estimates)

    assert noise == pytest.approx(1 + 4 + 0.25, rel=0.05)
    assert signal == pytest.approx(9 + 16, rel=0.05)


def test_both_methods_are_measured_where_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"arch": f"{a}{b}", "y": 1 + a + b} for a in range(3) for b in range(3)]
    table = write_table(tmp_path / "t.csv", rows)
    words = f"gradient_variance.py --table {table} --objective y --trials 24 --at 8 16 --samples 6 --batch-size 4"
    monkeypatch.setattr("sys.argv", [*words.split(), "--seeds", "2"])

    gradient_variance.main()

    measured = json.loads(capsys.readouterr().out)
    assert set(measured["regret_area"]) == {"ActorCritic", "REINFORCE"}
    for area in measured["regret_area"].values():
        assert 0 <= area["mean"] <= 4
    assert list(measured["gradient"]) == ["8", "16"]
    for at in measured["gradient"].values():
        assert at["noise_ratio"] > 0
        assert at["ActorCritic"]["noise"] > 0
        assert at["REINFORCE"]["noise"] > 0


def test_before_anything_is_learnt_the_value_head_says_nothing_and_both_estimate_the_same(tmp_path: Path) -> None:
    rows = [{"arch": f"{a}{b}", "y": 1 + a + b} for a in range(3) for b in range(3)]
    table = gradient_variance.read_table(write_table(tmp_path / "t.csv", rows), ["y"])
    problem = gradient_variance.Problem(table, "y")
    settings = gradient_variance.spec.ActorCritic(gae_lambda=1.0)
    controller = gradient_variance.spec.Controller(algorithm=gradient_variance.spec.Algorithm(actor_critic=settings))
    fresh = gradient_variance.ActorCritic(problem.space, controller, 0)

    found = gradient_variance.gradients(problem, fresh, settings, samples=3, size=4, seed=0)

    assert found["ActorCritic"].abs().sum() > 0
    torch.testing.assert_close(found["ActorCritic"], found["REINFORCE"])
