"""The times of recurrent cells are told beside that of PyTorch's LSTM."""

import json

import pytest
import recurrent_cell


def test_each_cell_is_measured_beside_the_lstm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "recurrent_cell.py --hidden-size 3 --batch-size 2 --steps 4 --rounds 3"
    monkeypatch.setattr("sys.argv", words.split())

    recurrent_cell.main()

    layers = json.loads(capsys.readouterr().out)["layers"]
    assert set(layers) == {"torch.nn.LSTM", *recurrent_cell.CELLS}
    for layer in layers.values():
        assert layer["ratio"] == pytest.approx(layer["ms"] / layers["torch.nn.LSTM"]["ms"])
        assert layer["ms"] > 0
