"""Which device and precision to compute in."""

from __future__ import annotations

import contextlib

import torch

from whatwhere.errors import BadInput
from whatwhere.memory import keep_freed_memory


def choose_device(name: str | torch.device) -> torch.device:
    """`auto` is the GPU if there is one. Raises BadInput for a device that torch does not see, and for one that does not compute (meta)."""
    if isinstance(name, str) and name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError):
        raise BadInput(f"device={name}: not available here; valid: auto, cpu" + (", cuda" if torch.cuda.is_available() else "")) from None
    return device


def use_processor(num_threads: int) -> None:
    """To be called where a training or something like it begins: with how many threads to compute (0: torch's own choice), and memory that is kept."""
    if num_threads:
        torch.set_num_threads(num_threads)
    keep_freed_memory()


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """bf16 autocast for `bf16`, and for `auto` where the processor or GPU computes it natively; else nothing."""
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    if precision == "bf16" or (precision == "auto" and native):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()
