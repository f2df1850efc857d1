"""Fusion by a gate between the streams."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Gating(nn.Module):
    """α = σ(w·[m; p]);  α·m + (1−α)·p, 2D weights (spec A4). `share(m, p)` reads α, the share of M."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * dim, 1)

    def share(self, m: Float[Tensor, "b n d"], p: Float[Tensor, "b n d"]) -> Float[Tensor, "b n 1"]:
        return torch.sigmoid(self.gate(torch.cat([m, p], dim=-1)))

    def forward(self, m: Float[Tensor, "b n d"], p: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        alpha = self.share(m, p)
        return alpha * m + (1 - alpha) * p
