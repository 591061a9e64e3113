"""Mixed precision."""

import contextlib

import torch
from nas_api.spec.trainer import Trainer


def half_precision(trainer: Trainer, device: torch.device) -> torch.dtype | None:
    """The type of mixed precision, None for float32 throughout."""
    match trainer.precision:
        case "BFloat16":
            return torch.bfloat16
        case "Float16":
            return torch.float16
        case "Auto":
            native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if native else None
        case "Float32":
            return None


def autocast(device: torch.device, half: torch.dtype | None) -> contextlib.AbstractContextManager[None]:
    """Where operations are done in `half`, as far as they allow it."""
    return torch.autocast(device.type, dtype=half) if half else contextlib.nullcontext()
