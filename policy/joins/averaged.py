"""`join=averaged`: cross-attention, then an average over the patches (spec B5 as written): a baseline, which loses where things are."""

from __future__ import annotations

import torch

from policy.joins.cross_attention import CrossAttention
from policy.joins.join import Sizes
from policy.shapes import Tokens, Words


class Averaged(CrossAttention):
    """As many tokens without a place as there were, and one more, the mean of the others; none with a place."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.num_pooled, self.num_grids = sizes.num_pooled + (sizes.num_grids > 0), 0

    def forward(self, tokens: Tokens, words: Words) -> Tokens:
        joined = super().forward(tokens, words)
        means = [joined.placed.mean(1, keepdim=True)] if joined.placed.shape[1] else []
        return Tokens(torch.cat([joined.pooled, *means], dim=1), tokens.positions[..., :0, :])
