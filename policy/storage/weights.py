"""Modules as bytes and back: fp16 on disk, compared with the file before any memory is taken for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from policy.storage.tensorfile import compare_shapes, read_header
from whatwhere.errors import BadInput, Failed

M = TypeVar("M", bound=nn.Module)
EARLIER_NAMES = ((re.compile(r"\bhead\.readers\."), "reader.cameras."), (re.compile(r"\bhead\.proprio\."), "reader.proprio."))


def serialise(module: nn.Module, skip: str | None = None) -> tuple[bytes, dict[str, list[int]]]:
    """The module's tensors in fp16 as the bytes of a safetensors file, and their shapes. Raises Failed for weights that fp16 cannot hold."""
    tensors = {name: value.detach().cpu().half().contiguous() for name, value in module.state_dict().items() if skip is None or not name.startswith(skip)}
    check_storable(tensors)
    return save(tensors), {name: list(value.shape) for name, value in tensors.items()}


def check_storable(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raises Failed for weights that fp16, in which they are stored, cannot hold."""
    for name, value in tensors.items():
        if not value.half().isfinite().all():
            raise Failed(f"{name}: not finite in fp16: the training diverged; try a smaller lr")


def restored(make: Callable[[], M], files: Mapping[str, Path]) -> M:
    """What `make` gives, with the weights in `files`: {the beginning of their names in the module: a verified file}.

    It is made without memory first: a configuration may ask for far more weights than the file holds. Raises BadInput if names or shapes differ, or a
    weight is not finite.
    """
    with torch.device("meta"):
        wanted = {name: list(value.shape) for name, value in make().state_dict().items()}
    for prefix, path in files.items():
        others = tuple(other for other in files if len(other) > len(prefix))
        own = {name.removeprefix(prefix): shape for name, shape in wanted.items() if name.startswith(prefix) and not name.startswith(others)}
        compare_shapes(path, {current(name): shape for name, shape in read_header(path).items()}, own)
    module = make()
    module.load_state_dict({f"{prefix}{name}": value for prefix, path in files.items() for name, value in _read(path).items()})
    return module


def current(name: str) -> str:
    """What a tensor of an earlier version's file is called now: the reader was a part of the head."""
    for pattern, now in EARLIER_NAMES:
        name = pattern.sub(now, name, count=1)
    return name


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors = {current(name): value.float() for name, value in load(path.read_bytes()).items()}
    except SafetensorError as error:
        raise BadInput(f"{path}: not a safetensors file ({' '.join(str(error).split())[:120]})") from None
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise BadInput(f"{path}: tensor {name:.120}: holds NaN or infinity")
    return tensors
