"""`NAME-best`: the best architecture, as a module that trains."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from nas_api.architectures import ConvNet, Convolution, Layer
from nas_api.architectures.recurrent_cell import NAS_CELL
from nas_api.rpc import trials_pb2 as pb
from nas_operator.resources.best import build_best

from tests.unit.operator.resources.searches import search_of

SHAPE = pb.DataShape(channels=1, height=8, width=8, classes=10)
NETWORK = ConvNet(
    layers=(
        Layer(operation=Convolution(filter_height=3, filter_width=3, filters=8)),
        Layer(operation=Convolution(filter_height=1, filter_width=3, filters=4), inputs=(0,)),
    )
)


def trial_of(architecture: str, **fields: object) -> pb.Trial:
    return pb.Trial(
        trial_id=12,
        sequence=9,
        state="Succeeded",
        architecture=architecture,
        digest="d1",
        reward=0.75,
        policy_version=3,
        attempts=1,
        worker_id="digits-default-0-abc",
        train_seconds=1.25,
        finished_at=1_700_000_000.5,
        **fields,  # type: ignore[arg-type]
    )


def size(data: dict[str, str]) -> int:
    return sum(len(name) + len(text.encode()) for name, text in data.items())


def test_the_module_trains_when_it_is_run_by_itself(tmp_path: Path) -> None:
    data = build_best(search_of(), trial_of(NETWORK.canonical().model_dump_json()), SHAPE)["data"]
    module = tmp_path / "model.py"
    module.write_text(data["model.py"])
    run = subprocess.run([sys.executable, str(module)], capture_output=True, text=True, check=True)
    losses = [float(line.rpartition(" ")[2]) for line in run.stdout.splitlines()]
    assert losses[-1] < losses[0]
    assert "Trial 12 of the search digits" in data["model.py"]


def test_the_architecture_and_the_trial_can_be_read() -> None:
    best = build_best(search_of(), trial_of(NETWORK.canonical().model_dump_json(), parameters=100), SHAPE)
    assert best["metadata"]["name"] == "digits-best"
    assert best["data"].keys() == {"architecture.json", "model.py", "trial.json"}
    assert ConvNet.model_validate_json(best["data"]["architecture.json"]) == NETWORK.canonical()
    trial = json.loads(best["data"]["trial.json"])
    assert trial["trial"] == 12
    assert trial["reward"] == 0.75
    assert trial["parameters"] == 100
    assert trial["flops"] is None
    # Which the controller's summary leaves out.
    assert "measurements" not in trial
    assert trial["finishedAt"] == "2023-11-14T22:13:20+00:00"


def test_the_test_figures_of_the_final_training_are_with_it_and_the_module_is_built_as_it_was_trained() -> None:
    final = pb.FinalResult(
        training=4, settings='{"epochs":60,"batchNormEpsilon":0.001}', reward=0.7, metrics={"test_accuracy": 0.875}
    )
    data = build_best(search_of(), trial_of(NETWORK.canonical().model_dump_json(), final_result=final), SHAPE)["data"]
    assert json.loads(data["trial.json"])["finalTraining"] == {
        "training": 4,
        "settings": {"epochs": 60, "batchNormEpsilon": 0.001},
        "reward": 0.7,
        "metrics": {"test_accuracy": 0.875},
    }
    assert "module.eps = 0.001" in data["model.py"]


def test_of_a_task_of_the_users_own_there_is_no_module() -> None:
    best = build_best(search_of(), trial_of('{"anything": [1, 2]}'), None)
    assert best["data"].keys() == {"architecture.json", "trial.json"}
    assert json.loads(best["data"]["architecture.json"]) == {"anything": [1, 2]}


def test_of_a_language_model_there_is_a_module_though_images_have_no_shape() -> None:
    spec = {
        "searchSpace": {"type": "RecurrentCell"},
        "trainer": {
            "task": "language-model", "dataset": {"path": "pydoc"}, "languageModel": {"hiddenSize": 12, "layers": 1},
        },
        "reward": {"metric": "val_perplexity", "exponent": -3},
    }  # fmt: skip
    data = build_best(search_of(spec), trial_of(NAS_CELL.canonical().to_json()), None)["data"]
    assert data.keys() == {"architecture.json", "model.py", "trial.json"}
    # How it trains is tested with the writer of the module.
    assert "Trial 12 of the search digits" in data["model.py"]
    assert "nn.ModuleList(Cell(inputs, 12) for inputs in [12])" in data["model.py"]
    own = spec | {"trainer": {"task": "mine:train"}, "reward": {"metric": "score"}}
    assert "model.py" not in build_best(search_of(own), trial_of(NAS_CELL.canonical().to_json()), None)["data"]


@pytest.mark.parametrize("kibibytes", [900, 1023, 2000])
def test_what_a_config_map_has_no_room_for_is_left_out_and_told(kibibytes: int) -> None:
    data = build_best(search_of(), trial_of(json.dumps({"text": "é" * (kibibytes * 512)})), None)["data"]
    # Non-ASCII characters are written as escapes, three times as long.
    assert size(data) <= 1024 * 1024
    assert data.keys() == {"trial.json", "left-out.txt"}
    assert "architecture.json" in data["left-out.txt"]


def test_the_largest_network_fits() -> None:
    convolution = Convolution(filter_height=3, filter_width=3, filters=24)
    largest = ConvNet(layers=tuple(Layer(operation=convolution, inputs=tuple(range(index))) for index in range(200)))
    data = build_best(search_of(), trial_of(largest.canonical().model_dump_json()), SHAPE)["data"]
    assert data.keys() == {"architecture.json", "model.py", "trial.json"}
    assert size(data) <= 1024 * 1024
