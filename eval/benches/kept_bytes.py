"""Memory of a training step: what is kept for its backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WEIGHT = 16  # bytes of a weight that learns: itself, its gradient, and two averages of AdamW, in fp32


def kept_bytes(step: Callable[[], None]) -> int:
    """Of what a step keeps for its backward pass, each piece of memory once."""
    import torch

    pieces: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        pieces[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    return sum(pieces.values())
