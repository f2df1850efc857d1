"""`encoder=pixelwise`: M and P fused at every patch and for CLS; (N+1)·D reach the head, space kept (spec A12)."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from policy.config import PolicyConfig
from policy.fusion.pixelwise import PixelwiseFusion
from policy.shapes import StreamTokens, Tokens


class Pixelwise(nn.Module):
    uses_streams: ClassVar[bool] = True

    def __init__(self, config: PolicyConfig, stream_dim: int, stream_grid: tuple[int, int]) -> None:
        super().__init__()
        self.dim, self.grid = stream_dim, stream_grid
        self.num_pooled, self.num_grids = 1, 1
        self.num_tokens = 1 + stream_grid[0] * stream_grid[1]
        self.fuse = PixelwiseFusion(stream_dim, stream_grid, config.fusion, config.cls_fusion, config.sharing)

    def forward(self, tokens: StreamTokens) -> Tokens:
        return self.fuse(tokens)  # (b, 1+n, d)
