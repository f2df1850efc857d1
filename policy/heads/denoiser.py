"""What `flow` and `mip` refine an answer with: (features, a chunk with noise in it, how little of it is noise) → the chunk."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.heads.decoder import start_near_zero, width

WAVES = 8  # cosines of the time that the network sees


class Denoiser(nn.Module):
    """As wide as `parameters` allow, over chunks of n = steps × numbers. What the features say is computed once for all steps of an answer."""

    def __init__(self, dim: int, n: int, parameters: int) -> None:
        super().__init__()
        hidden = width(parameters, dim + (n + WAVES) + n + 2, n + 2 * dim)
        self.see = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden))
        self.enter = nn.Linear(n + WAVES, hidden, bias=False)
        self.act = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, n))
        start_near_zero(self.act[-1])

    def forward(self, seen: Float[Tensor, "b h"], chunk: Float[Tensor, "b n"], time: Float[Tensor, "#b 1"]) -> Float[Tensor, "b n"]:
        """`seen` from `see`; `time` from 0, all noise, to 1, none."""
        waves = torch.cos(time * (math.pi * torch.arange(1, WAVES + 1, device=time.device))).expand(len(chunk), -1)
        return self.act(seen + self.enter(torch.cat([chunk, waves], dim=-1))).float()
