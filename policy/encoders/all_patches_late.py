"""`encoder=all_patches_late`: every token of both streams, unfused; 2(N+1)·D reach the head, space kept (spec A12)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from policy.config import PolicyConfig
from policy.shapes import StreamTokens, Tokens, cell_centres


class AllPatchesLate(nn.Module):
    """Order: cls_M, cls_P, the patches of M, the patches of P. A learned mark tells the head which stream a token is of."""

    uses_streams: ClassVar[bool] = True
    positions: Tensor

    def __init__(self, config: PolicyConfig, stream_dim: int, stream_grid: tuple[int, int]) -> None:
        super().__init__()
        self.dim, self.grid = stream_dim, stream_grid
        self.num_pooled, self.num_grids = 2, 2
        self.num_tokens = 2 * (1 + stream_grid[0] * stream_grid[1])
        self.mark = nn.Parameter(0.02 * torch.randn(2, stream_dim))
        self.register_buffer("positions", cell_centres(stream_grid).repeat(2, 1), persistent=False)

    def forward(self, tokens: StreamTokens) -> Tokens:
        m, p = self.mark
        parts = [(tokens.m_cls + m)[:, None], (tokens.p_cls + p)[:, None], tokens.m_patches + m, tokens.p_patches + p]
        return Tokens(torch.cat(parts, dim=1), self.positions)  # (b, 2+2n, d)
