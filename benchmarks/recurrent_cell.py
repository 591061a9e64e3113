"""How much slower is a recurrent cell of the search space than the LSTM of PyTorch, which is one fused kernel?

Runs a layer of each over a sequence, forward and backward, in turns, on one thread or a GPU: LSTMs as cells of base 4
and 8, NASCell, and `torch.nn.LSTM` of the same hidden size. The ratio is that of the fastest passes, which nothing else
on the machine has disturbed. Prints JSON.

    python benchmarks/recurrent_cell.py
    python benchmarks/recurrent_cell.py --hidden-size 200 --batch-size 20 --steps 35 --device cuda
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from nas_api.architectures.recurrent_cell import LSTM_CELL, LSTM_CELL_OF_BASE_4, NAS_CELL
from nas_child.network.recurrent_cell import RecurrentLayer
from torch import Tensor, nn

CELLS = {"LSTM without input gate, base 4": LSTM_CELL_OF_BASE_4, "LSTM, base 8": LSTM_CELL, "NASCell, base 8": NAS_CELL}


def passes(hidden_size: int, batch_size: int, steps: int, device: torch.device) -> dict[str, Callable[[], None]]:
    """For each layer a function that runs it forward and backward, to its end."""
    inputs = torch.randn(steps, batch_size, hidden_size, device=device)
    lstm = nn.LSTM(hidden_size, hidden_size, bias=False).to(device)
    layers = {name: RecurrentLayer(cell, hidden_size, hidden_size).to(device) for name, cell in CELLS.items()}

    def run(layer: nn.Module, outputs: Callable[[], Tensor]) -> None:
        layer.zero_grad(set_to_none=True)
        outputs().square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def of_cell(layer: RecurrentLayer) -> Callable[[], None]:
        return lambda: run(layer, lambda: layer(inputs, layer.initial_state(batch_size))[0])

    cells = {name: of_cell(layer) for name, layer in layers.items()}
    return {"torch.nn.LSTM": lambda: run(lstm, lambda: lstm(inputs)[0]), **cells}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All that is printed."""
    torch.set_num_threads(1)
    device = torch.device(options.device)
    layers = passes(options.hidden_size, options.batch_size, options.steps, device)
    seconds: dict[str, list[float]] = {name: [] for name in layers}
    for number in range(options.rounds + 1):
        for name, run in layers.items():
            began = time.perf_counter()
            run()
            if number:  # the first time warms up
                seconds[name].append(time.perf_counter() - began)
    fastest = {name: min(found) for name, found in seconds.items()}
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu, 1 thread",
        **{name: getattr(options, name) for name in ("hidden_size", "batch_size", "steps", "rounds")},
        "layers": {
            name: {"ms": 1000 * best, "ratio": best / fastest["torch.nn.LSTM"]} for name, best in fastest.items()
        },
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden-size", type=int, default=64, help="of input, h and c (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=64, help="sequences side by side (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=32, help="of a sequence (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=100, help="passes of each layer (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU such as cuda (default: %(default)s)")
    print(json.dumps(measure(parser.parse_args()), indent=2))


if __name__ == "__main__":
    main()
