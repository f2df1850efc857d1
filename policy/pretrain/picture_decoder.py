"""A U-Net's upward half: from a grid of tokens to a picture, with the skips of an image encoder where it may see them (spec A6)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class PictureDecoder(nn.Module):
    """Pixel-wise embedding (b, n, d) and change embedding (b, d), with features of frame t at finer scales or without them → a picture.

    The grid is doubled until a pixel is reached; each doubling but the last takes the skip of its scale. `skips`: channels of the image encoder's
    features, coarse to fine, the first at the grid's own scale; empty: none.
    """

    def __init__(self, dim: int, grid: tuple[int, int], patch: int, skips: Sequence[int] = ()) -> None:
        super().__init__()
        self.grid = grid
        doublings = patch.bit_length() - 1
        widths = [max(32, dim // 2**i) for i in range(doublings)]  # at grid, 2 × grid, …, half the picture's size
        self.change = nn.Linear(dim, 2 * dim)  # scale and shift for every cell: what the whole picture's change adds (FiLM, Perez et al. 2018)
        self.skips = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels, width in zip(skips, widths, strict=False))
        self.enter = _block(dim, widths[0])
        self.rise = nn.ModuleList(_block(before, 4 * after, norm=False) for before, after in itertools.pairwise(widths))
        self.settle = nn.ModuleList(_block(width, width) for width in widths[1:])
        self.leave = nn.Conv2d(widths[-1], 12, 3, padding=1)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)
        nn.init.zeros_(self.leave.weight)
        nn.init.constant_(self.leave.bias, 0.5)  # type: ignore[arg-type]  # begin at grey: from random pixels it took thousands of steps to find colours

    def forward(
        self, patches: Float[Tensor, "b n d"], change: Float[Tensor, "b d"], features: Sequence[Tensor] = (), seen: Tensor | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """`features`: of the image encoder, coarse to fine, for the samples in the index `seen` (those that may look); the others get none."""
        scale, shift = self.change(change)[:, None].chunk(2, dim=-1)
        x = rearrange(patches * (1 + scale) + shift, "b (y x) d -> b d y x", y=self.grid[0])
        x = self.enter(x)
        for level in range(len(self.rise) + 1):
            if level:
                x = self.settle[level - 1](F.pixel_shuffle(self.rise[level - 1](x), 2))
            if seen is not None and len(seen) and level < len(self.skips):
                x = x.index_add(0, seen, self.skips[level](features[level]).to(x.dtype))
        return F.pixel_shuffle(self.leave(x), 2).float()


def _block(before: int, after: int, norm: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, nn.GroupNorm(8, after) if norm else nn.Identity(), nn.GELU())
