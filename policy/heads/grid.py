"""Tokens of one or more grids as maps, before places are chosen in them."""

from __future__ import annotations

from torch import Tensor, nn

WIDTH = 128  # of a token inside the reader


class GridMlp(nn.Module):
    """Per token: LayerNorm, two layers with GELU, and a depthwise 3×3 look at the neighbours in between."""

    def __init__(self, dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.enter = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, WIDTH), nn.GELU())
        self.neighbours = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.leave = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        b, n, _ = tokens.shape
        x = self.enter(tokens)  # (b, n, width)
        maps = x.reshape(-1, *self.grid, WIDTH).permute(0, 3, 1, 2)  # one map a grid: (b · grids, width, rows, columns)
        around = self.neighbours(maps).permute(0, 2, 3, 1).reshape(b, n, WIDTH)
        return self.leave(x + around)
