"""`join=late`: late fusion (spec B1). Picture and instruction are each processed by themselves, and joined after that."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.joins.join import Join, Sizes
from policy.shapes import Words

FEATURES = 64


class Late(Join):
    """Two layers of the instruction beside what was read of the camera."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.extra = FEATURES
        self.say = nn.Sequential(nn.Linear(sizes.words_dim, sizes.width), nn.GELU(), nn.Linear(sizes.width, FEATURES), nn.GELU())

    def beside(self, found: Float[Tensor, "b f"], words: Words) -> Float[Tensor, "b g"]:
        return torch.cat([found, self.say(words.pooled)], dim=-1)
