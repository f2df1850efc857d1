"""Fusion by a two-layer perceptron."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Mlp(nn.Module):
    """2D → 2D → D with GELU, 6D² weights (spec A4)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.join = nn.Sequential(nn.Linear(2 * dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, m: Float[Tensor, "b n d"], p: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return self.join(torch.cat([m, p], dim=-1))
