"""Change → the actions that made it: the head of inverse dynamics proper (spec A8, phase 3)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.heads.decoder import count
from policy.heads.l1 import L1
from policy.heads.reader import Reader
from policy.shapes import Tokens
from policy.storage.tensorfile import check_tensors
from policy.storage.weights import restored, serialise
from whatwhere.errors import about
from whatwhere.files import atomic, read_json, write_json

WEIGHTS, RECORD = "head.safetensors", "head.json"
PARAMETERS = 600_000  # of reader and head
SIZES = ("dim", "grid", "chunk", "action_dim", "proprio_dim", "task_dim")


class InverseDynamics(nn.Module):
    """(change, current frame, sensors, task) → the chunk of actions in between; the current frame is in the change's P (policy.change).

    The policy's own reader for one camera, and its head `l1`. `proprio_dim` and `task_dim` may be 0: play records neither.
    """

    def __init__(self, dim: int, grid: tuple[int, int], chunk: int, action_dim: int, proprio_dim: int = 0, task_dim: int = 0) -> None:
        super().__init__()
        self.sizes = {"dim": dim, "grid": list(grid), "chunk": chunk, "action_dim": action_dim, "proprio_dim": proprio_dim, "task_dim": task_dim}
        self.reader = Reader(dim, grid, 1, 1, 1, max(1, proprio_dim), task_dim)
        self.head = L1(self.reader.dim, chunk, action_dim, PARAMETERS - count(self.reader))

    def forward(self, change: Tokens, proprio: Float[Tensor, "b s"] | None = None, task: Float[Tensor, "b e"] | None = None) -> Float[Tensor, "b k a"]:
        none = change.values.new_zeros(len(change.values), 1)
        return self.head(self.reader([change], none if proprio is None else proprio, none[:, :0] if task is None else task).features)

    def save(self, folder: str | Path, record: dict[str, Any]) -> None:
        """Writes `folder/head.safetensors` (fp16) and `head.json` with the sizes and `record`."""
        data, shapes = serialise(self)
        with atomic(Path(folder) / WEIGHTS) as path:
            path.write_bytes(data)
        write_json(Path(folder) / RECORD, {"sha256": hashlib.sha256(data).hexdigest(), **self.sizes, "tensors": shapes, **record})

    @staticmethod
    def from_pretrained(folder: str | Path) -> InverseDynamics:
        """The head that `save` wrote. Raises BadInput if it is not there or damaged."""
        from policy.storage.records import Head

        record = read_json(Path(folder) / RECORD, Head)
        check_tensors(Path(folder) / WEIGHTS, {"sha256": record["sha256"]}, record["tensors"])
        sizes: dict[str, Any] = {key: tuple(record[key]) if key == "grid" else record[key] for key in SIZES}
        with about(str(Path(folder) / RECORD)):
            return restored(lambda: InverseDynamics(**sizes), {"": Path(folder) / WEIGHTS}).eval().requires_grad_(False)


def masked_l1(predicted: Float[Tensor, "b k a"], target: Float[Tensor, "b k a"]) -> Float[Tensor, ""]:
    """Mean absolute error over the numbers of `target` that are not nan (other robots have fewer)."""
    known = ~target.isnan()
    return torch.where(known, predicted - target.nan_to_num(), 0.0).abs().sum() / known.sum().clamp(min=1)
