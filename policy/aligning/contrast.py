"""InfoNCE as in CLIP (Radford et al. 2021, arXiv 2103.00020): cross-entropy over similarities, with a learned temperature (spec B3)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

MOST_SCALE = 100.0  # what similarities are multiplied with at most: above, a few pairs decide everything
FIRST_SCALE = 10.0


class Temperature(nn.Module):
    """The learned scale of similarities: 1 over the temperature, from 0 to `MOST_SCALE`."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))

    def forward(self) -> Float[Tensor, ""]:
        return self.log_scale.clamp(max=math.log(MOST_SCALE)).exp()


def info_nce(scaled: Float[Tensor, "r n"], wanted: Float[Tensor, "r n"], ignored: Bool[Tensor, "r n"] | None = None) -> Float[Tensor, ""]:
    """Cross-entropy between the softmax of each row's similarities and `wanted`, whose rows sum to 1: one candidate is right, or several in shares.

    `ignored`: neither right nor wrong (the same thing in another picture). 0 where there are no rows.
    """
    if not len(scaled):
        return scaled.sum()
    if ignored is not None:
        scaled = scaled.masked_fill(ignored & (wanted == 0), -torch.inf)
    logs = scaled.log_softmax(dim=-1)
    return -(wanted * logs.masked_fill(wanted == 0, 0.0)).sum(dim=-1).mean()


def symmetric(pictures: Float[Tensor, "n e"], texts: Float[Tensor, "n e"], scale: Tensor, same: Bool[Tensor, "n n"] | None = None) -> Float[Tensor, ""]:
    """Pictures and their texts, both of unit length: each is to find the other one among all n; the mean of both directions.

    `same`: which texts say the same; they share what is right equally. None: all differ.
    """
    scaled = scale * pictures @ texts.T
    right = torch.eye(len(scaled), device=scaled.device) if same is None else same.to(scaled.dtype)
    return (info_nce(scaled, right / right.sum(1, keepdim=True)) + info_nce(scaled.T, right.T / right.T.sum(1, keepdim=True))) / 2
