"""`join=multi_scale`: the instruction meets the patches at several resolutions (spec B12): as they are, and averaged over squares of 2 and of 4."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from policy.joins.early import Early
from policy.joins.join import Join, Sizes
from policy.shapes import Tokens, Words

SQUARES = (1, 2, 4)  # patches that a token of a scale is wide


class MultiScale(Join):
    """Early fusion at each scale; what it adds at the coarser ones is spread over their squares. Tokens without a place are joined once."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.grid = sizes.grid
        self.scales = nn.ModuleList(Early(sizes) for _ in SQUARES)

    def forward(self, tokens: Tokens, words: Words) -> Tokens:
        values, first = self.scales[0](tokens, words).values, tokens.values.shape[1] - tokens.positions.shape[-2]
        if not tokens.placed.shape[1]:
            return Tokens(values, tokens.positions)
        rows, columns = self.grid
        maps = rearrange(tokens.placed, "b (g r c) d -> (b g) d r c", r=rows, c=columns)
        added = torch.zeros_like(tokens.placed)
        for square, scale in zip(SQUARES[1:], list(self.scales)[1:], strict=True):
            coarse = F.avg_pool2d(maps, square, ceil_mode=True)  # (b·g, d, rows / square, columns / square)
            flat = Tokens(rearrange(coarse, "(b g) d r c -> b (g r c) d", b=len(values)), tokens.positions[..., :0, :])
            change = rearrange(scale(flat, words).values - flat.values, "b (g r c) d -> (b g) d r c", r=coarse.shape[2], c=coarse.shape[3])
            spread = change.repeat_interleave(square, 2).repeat_interleave(square, 3)[:, :, :rows, :columns]
            added = added + rearrange(spread, "(b g) d r c -> b (g r c) d", b=len(values))
        return Tokens(values + F.pad(added, (0, 0, first, 0)), tokens.positions)
