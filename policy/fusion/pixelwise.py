"""Pixel-wise fusion: M and P joined at every patch, the grid kept (spec A11)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy.fusion import CLS_FUSIONS, FUSIONS, SHARINGS
from policy.shapes import StreamTokens, Tokens, cell_centres
from whatwhere.errors import choose
from whatwhere.named import named


class PixelwiseFusion(nn.Module):
    """StreamTokens → N+1 fused tokens: CLS first, then the patches with their positions.

    `sharing="separate"`: one module for CLS, one for patches. `sharing="shared"`: one module (`fusion`) for both (spec A14).
    """

    positions: Tensor

    def __init__(self, dim: int, grid: tuple[int, int], fusion: str = "linear", cls_fusion: str = "linear", sharing: str = "separate") -> None:
        super().__init__()
        choose("sharing", sharing, SHARINGS)
        self.dim, self.grid = dim, grid
        self.choices = {"fusion": fusion, "cls_fusion": cls_fusion, "sharing": sharing}  # with `dim`, what it takes to build it again
        self.patches: nn.Module = named("fusion", fusion, FUSIONS)(dim)
        self.cls: nn.Module = self.patches if sharing == "shared" else named("cls_fusion", cls_fusion, CLS_FUSIONS)(dim)
        self.register_buffer("positions", cell_centres(grid), persistent=False)

    def forward(self, tokens: StreamTokens) -> Tokens:
        patches = self.patches(tokens.m_patches, tokens.p_patches)  # (b, n, d)
        cls = self.cls(tokens.m_cls[:, None], tokens.p_cls[:, None])  # (b, 1, d)
        return Tokens(torch.cat([cls, patches], dim=1), self.positions)
