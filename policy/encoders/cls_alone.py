"""`encoder=cls_alone`: [cls_M; cls_P], 2D: what the streams say of a whole picture, without its patches."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from policy.config import PolicyConfig
from policy.shapes import StreamTokens, Tokens


class ClsAlone(nn.Module):
    uses_streams: ClassVar[bool] = True

    def __init__(self, config: PolicyConfig, stream_dim: int, stream_grid: tuple[int, int]) -> None:
        super().__init__()
        self.dim, self.grid = 2 * stream_dim, stream_grid
        self.num_pooled, self.num_grids, self.num_tokens = 1, 0, 1

    def forward(self, tokens: StreamTokens) -> Tokens:
        values = torch.cat([tokens.m_cls, tokens.p_cls], dim=-1)  # (b, 2d)
        return Tokens(values[:, None], values.new_zeros(0, 2))
