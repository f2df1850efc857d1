"""The net of a context memory: a GRU over the features of the last moments, whose answer is added to the present ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

WIDTH = 128


class Recurrent(nn.Module):
    """Features of n moments, oldest first → those of the last, with what the others add to them. It starts as if it remembered nothing."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, WIDTH))
        self.recurrent = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.leave = nn.Linear(WIDTH, dim)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, moments: Float[Tensor, "b n f"]) -> Float[Tensor, "b f"]:
        with torch.autocast(moments.device.type, enabled=False):
            moments = moments.float()
            states, _ = self.recurrent(self.enter(moments))
            return moments[:, -1] + self.leave(states[:, -1])
