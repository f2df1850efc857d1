"""Fusion by one fully connected layer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Linear(nn.Module):
    """FC([m; p]): 2D → D, 2D² weights (spec A4)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.join = nn.Linear(2 * dim, dim)

    def forward(self, m: Float[Tensor, "b n d"], p: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return self.join(torch.cat([m, p], dim=-1))
