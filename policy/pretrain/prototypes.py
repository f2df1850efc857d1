"""The head of DINO: an MLP, and the cosine to each of many prototypes (Caron et al. 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Prototypes(nn.Module):
    """Tokens (…, d) → cosines (…, k) to k prototypes, in float32. `frozen`: the prototypes get no gradient, which steadies the first steps.

    Not lightly's head: its weight norm is what torch deprecates, and it cannot be copied.
    """

    def __init__(self, dim: int, prototypes: int, width: int, bottleneck: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, bottleneck))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=layer.in_features**-0.5)  # timm's 0.02 is meant for widths of 2,048
                nn.init.zeros_(layer.bias)
        self.weight = nn.Parameter(torch.randn(prototypes, bottleneck))
        self.frozen = False

    def forward(self, tokens: Float[Tensor, "*b d"]) -> Float[Tensor, "*b k"]:
        x = self.layers(tokens)
        with torch.autocast(x.device.type, enabled=False):  # three digits of bf16 are too few for what is divided by 0.04
            weight = F.normalize(self.weight.detach() if self.frozen else self.weight, dim=-1)
            return F.linear(F.normalize(x.float(), dim=-1), weight.float())
