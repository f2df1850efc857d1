"""`join=early`: early fusion (spec B1). The instruction is a part of every token before anything is read of them."""

from __future__ import annotations

import torch
from torch import nn

from policy.joins.join import Join, Sizes
from policy.shapes import Tokens, Words


class Early(Join):
    """Two layers per token of [token; instruction], added to the token."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        inside = sizes.dim + sizes.words_dim
        self.fuse = nn.Sequential(nn.LayerNorm(inside), nn.Linear(inside, sizes.width), nn.GELU(), nn.Linear(sizes.width, sizes.dim))

    def forward(self, tokens: Tokens, words: Words) -> Tokens:
        said = words.pooled[:, None].expand(-1, tokens.values.shape[1], -1)  # (b, t, e)
        return Tokens(tokens.values + self.fuse(torch.cat([tokens.values, said], dim=-1)), tokens.positions)
