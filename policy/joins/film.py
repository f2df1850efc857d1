"""`join=film`: the instruction scales and shifts the channels of the reader's grid before places are chosen: words say where to look.

Feature-wise linear modulation, Perez et al. 2018, arXiv 1709.07871.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from policy.joins.join import Join, Sizes
from policy.shapes import Words


class Film(Join):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.norm = nn.LayerNorm(sizes.width)
        self.say = nn.Sequential(nn.Linear(sizes.words_dim, sizes.width), nn.GELU(), nn.Linear(sizes.width, 2 * sizes.width))

    def on_grid(self, x: Float[Tensor, "b n width"], words: Words) -> Float[Tensor, "b n width"]:
        scale, shift = self.say(words.pooled)[:, None].chunk(2, dim=-1)  # (b, 1, width)
        return self.norm(x) * (1 + scale) + shift
