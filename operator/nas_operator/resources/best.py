"""`NAME-best`: the best architecture of a search that has ended, as a ConfigMap to take away."""

import json
from datetime import UTC, datetime

from nas_api.architectures import ConvNet, ImageShape, RecurrentCell, parse_architecture
from nas_api.architectures.language_model_source import write_language_model_source
from nas_api.architectures.pytorch_source import write_source
from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASSearch

from nas_operator.names import best_name
from nas_operator.observed import Object
from nas_operator.resources.applied import stamped
from nas_operator.resources.owner import owned_metadata

# A ConfigMap holds 1 MiB, names and values together. The rest is for the note on what was left out.
_MOST_BYTES = 1024 * 1024 - 1024


def build_best(search: NASSearch, trial: pb.Trial, data_shape: pb.DataShape | None) -> Object:
    """The ConfigMap with `architecture.json`, `model.py`, a PyTorch module that trains when run, and `trial.json`.

    What does not fit into a ConfigMap is left out, the least important first, and `left-out.txt` says so.

    Args:
        search: which has ended.
        trial: its best, by the second stage if that has come to a result.
        data_shape: of the images that the workers found. None: there are none.

    Only a user's own task can build its networks: there is no `model.py` then, unless they are ConvNets and the task
    has told the shape of its images.
    """
    files = {"trial.json": _json(_document(trial)), "architecture.json": _json(json.loads(trial.architecture))}
    if source := _source(search, trial, data_shape):
        files["model.py"] = source
    return stamped(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": owned_metadata(search, best_name(search.metadata.name), "result"),
            "data": _fitting(files),
        }
    )


def _fitting(files: dict[str, str]) -> dict[str, str]:
    """`files`, the first ones first, as far as there is room for them."""
    data: dict[str, str] = {}
    left_out = ""
    room = _MOST_BYTES
    for name, text in files.items():
        size = len(name) + len(text.encode())
        if size <= room:
            data[name] = text
            room -= size
        else:
            left_out += f"{name}: {size:,} bytes, more than a ConfigMap has room for. The journal has the trial.\n"
    return data | ({"left-out.txt": left_out} if left_out else {})


def _source(search: NASSearch, trial: pb.Trial, shape: pb.DataShape | None) -> str | None:
    title = f"Trial {trial.trial_id} of the search {search.metadata.name}, found by neural architecture search"
    trainer, space = search.spec.trainer, search.spec.search_space
    if shape is None and (trainer.is_user_task or space.type != "RecurrentCell"):
        return None
    match parse_architecture(trial.architecture):
        case ConvNet() as network if shape is not None:
            image = ImageShape(shape.channels, shape.height, shape.width)
            settings = json.loads(trial.final_result.settings or "{}")
            epsilon = settings.get("batchNormEpsilon", trainer.batch_norm_epsilon)
            return write_source(network, image, shape.classes, title, epsilon=epsilon)
        case RecurrentCell() as cell if not trainer.is_user_task:
            return write_language_model_source(cell, trainer.language_model, title)
    return None


def _document(trial: pb.Trial) -> Object:
    """The trial without its architecture, named as in the output of `nas show`.

    A summary has no measurements, which can be many.
    """
    finished = datetime.fromtimestamp(trial.finished_at, UTC)
    return {
        "trial": trial.trial_id,
        "state": trial.state,
        "reward": trial.reward if trial.HasField("reward") else None,
        "parameters": trial.parameters or None,
        "flops": trial.flops or None,
        "sequence": trial.sequence,
        "policyVersion": trial.policy_version,
        "attempts": trial.attempts,
        "worker": trial.worker_id,
        "trainSeconds": round(trial.train_seconds, 3),
        "finishedAt": finished.isoformat(timespec="seconds"),
        "digest": trial.digest,
    } | ({"finalTraining": _final(trial.final_result)} if trial.HasField("final_result") else {})


def _final(result: pb.FinalResult) -> Object:
    """The training of the second stage that counts."""
    return {
        "training": result.training,
        "settings": json.loads(result.settings),
        "reward": result.reward,
        "metrics": dict(sorted(result.metrics.items())),
    }


def _json(value: Object) -> str:
    return json.dumps(value, indent=2) + "\n"
