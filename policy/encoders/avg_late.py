"""`encoder=avg_late`: [cls_M; avg M; cls_P; avg P], 4D, space averaged away (spec A12, in the style of dino.txt)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from policy.config import PolicyConfig
from policy.shapes import StreamTokens, Tokens


class AvgLate(nn.Module):
    uses_streams: ClassVar[bool] = True

    def __init__(self, config: PolicyConfig, stream_dim: int, stream_grid: tuple[int, int]) -> None:
        super().__init__()
        self.dim, self.grid = 4 * stream_dim, stream_grid
        self.num_pooled, self.num_grids, self.num_tokens = 1, 0, 1

    def forward(self, tokens: StreamTokens) -> Tokens:
        parts = [tokens.m_cls, tokens.m_patches.mean(dim=1), tokens.p_cls, tokens.p_patches.mean(dim=1)]
        values = torch.cat(parts, dim=-1)  # (b, 4d)
        return Tokens(values[:, None], values.new_zeros(0, 2))
