"""Which device a worker trains on."""

import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class DeviceError(Exception):
    """The device that was asked for is not here; the message says what is."""


def choose(wanted: str, environment: MutableMapping[str, str], dev: Path = Path("/dev")) -> str:
    """Makes the wanted device the only one that PyTorch will see. To be called before PyTorch is imported.

    Args:
        wanted: `cpu`, `cuda:N`, where N counts the devices that are visible already, or `auto`: the first GPU, if any.
        environment: of the process: `CUDA_VISIBLE_DEVICES` is read and set.
        dev: where device files are.

    Returns:
        `cpu` or `cuda:0`: its name under PyTorch from now on.

    Raises:
        DeviceError: `wanted` is no name of a device, or not of a visible one.
    """
    visible = environment.get(_VISIBLE)
    gpus = visible.split(",") if visible else []
    if visible is None:
        gpus = sorted((file.name[6:] for file in dev.glob("nvidia[0-9]*")), key=int)
    if wanted == "auto":
        wanted = "cuda:0" if gpus else "cpu"
    if wanted == "cpu":
        environment[_VISIBLE] = ""
        return "cpu"
    match = re.fullmatch(r"cuda(?::(\d+))?", wanted)
    if match is None:
        raise DeviceError(f"device {wanted!r} is none of cpu, cuda:0, cuda:1, ... and auto")
    index = int(match[1] or 0)
    # Without device files (WSL, say) and without the variable, the numbers are the driver's own.
    if gpus or visible is not None:
        if index >= len(gpus):
            where = f" ({_VISIBLE}={visible})" if visible is not None else ""
            count = f"{len(gpus)} GPU{'' if len(gpus) == 1 else 's'}" if gpus else "no GPU"
            raise DeviceError(f"device {wanted} is not here: this worker sees {count}{where}")
        environment[_VISIBLE] = gpus[index] if visible is not None else str(index)
    else:
        environment[_VISIBLE] = str(index)
    # Counting devices with the CUDA runtime would make it unusable in forked processes; NVML does not.
    environment["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    return "cuda:0"


def describe(device: "torch.device") -> str:
    """Name of a device for a person: `cpu`, or the name of the GPU.

    Of a GPU it is asked in a process of its own: a process that has used CUDA cannot fork others that do.

    Raises:
        DeviceError: PyTorch cannot use the GPU.
    """
    import torch

    if device.type == "cpu":
        return "cpu"
    if torch.version.cuda is None and torch.version.hip is None:
        raise DeviceError(
            f"PyTorch {torch.__version__} is built without GPU support: install another build, or use --device cpu"
        )
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = ""
        try:
            answer = "+" + torch.cuda.get_device_name(device)
        except Exception as error:
            answer = f"-{error}"
        finally:
            os.write(write_end, answer.encode()[:4096])
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read().decode(errors="replace")
    os.waitpid(pid, 0)
    if not answer.startswith("+"):
        raise DeviceError(f"PyTorch cannot use the GPU: {answer[1:] or 'the process that tried was killed'}")
    return answer[1:]
