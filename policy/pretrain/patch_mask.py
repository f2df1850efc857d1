"""Which patches a student does not see."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

ASPECTS = (0.5, 2.0)  # height by width


def block_mask(count: int, grid: tuple[int, int], samples: float, share: tuple[float, float], generator: torch.Generator) -> Bool[Tensor, "count rows columns"]:
    """True where hidden: a rectangle that takes a `share` (from, to) of the grid, in a share `samples` of them and in one at least, nothing in the others.

    lightly's `random_block_mask` draws from Python's own random numbers; a run that is resumed needs those of its generator.
    """
    device = generator.device
    asked, area, aspect, y, x = torch.rand(5, count, generator=generator, device=device)
    cells = grid[0] * grid[1] * (share[0] + area * (share[1] - share[0]))
    ratio = ASPECTS[0] * (ASPECTS[1] / ASPECTS[0]) ** aspect
    height = (cells * ratio).sqrt().round().clamp(1, grid[0])
    width = (cells / height).round().clamp(1, grid[1])
    top, left = (y * (grid[0] - height + 1)).floor(), (x * (grid[1] - width + 1)).floor()
    rows, columns = torch.arange(grid[0], device=device), torch.arange(grid[1], device=device)
    chosen = (asked < samples) | ((asked == asked.min()) & (samples > 0))
    inside_y = (rows >= top[:, None]) & (rows < (top + height)[:, None])  # (count, rows)
    inside_x = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    return inside_y[:, :, None] & inside_x[:, None, :] & chosen[:, None, None]
