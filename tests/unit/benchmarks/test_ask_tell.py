"""The times of ask and tell are of searches that are as far as they say."""

import json

import ask_tell
import pytest


def test_every_algorithm_is_measured_early_and_late(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "ask_tell.py --early 8 --late 40 --rounds 2 --trials 8 --algorithms random REINFORCE:batchSize=4"
    monkeypatch.setattr("sys.argv", words.split())
    advanced: list[int] = []
    advance = ask_tell.Search.advance
    monkeypatch.setattr(ask_tell.Search, "advance", lambda self, n: (advanced.append(n), advance(self, n)))
    ask_tell.main()
    measured = json.loads(capsys.readouterr().out)
    assert [each["label"] for each in measured["algorithms"]] == ["random", "REINFORCE:batchSize=4"]
    for algorithm in measured["algorithms"]:
        for call in ("ask", "tell"):
            assert algorithm[call]["early_ms"] > 0
            ratio = algorithm[call]["late_ms"] / algorithm[call]["early_ms"]
            assert algorithm[call]["ratio"] == pytest.approx(ratio, rel=0.1, abs=0.01)  # it has two decimals
    assert advanced == 2 * [8, 40, 8, 8, 8, 8]


def test_an_algorithm_that_is_not_known_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["ask_tell.py", "--algorithms", "anneal"])
    with pytest.raises(SystemExit):
        ask_tell.main()
    assert "no algorithm 'anneal'" in capsys.readouterr().err
