"""What colours lie where in a patch, in numbers that a linear map can be asked for.

Every pixel gets the name of one colour: one of `HUES` hues if it is saturated, else none; each quarter of a patch is described by how much of it has each
name, and by its lightness. Where a coloured thing lies is nearly linear in these numbers; it is not in RGB values: a token that gives them
to a linear map tells things apart and says where in its patch they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

HUES = 8
SATURATED = 0.5  # a pixel has a hue from here on: its chroma over its brightest colour
PARTS = 2  # a patch is described in PARTS × PARTS parts
WORDS = (HUES + 1) * PARTS**2  # numbers a patch


def colour_words(pictures: Float[Tensor, "b 3 h w"], grid: tuple[int, int]) -> Float[Tensor, "b n words"]:
    """Of pictures in [0, 1]: for each patch of the grid `WORDS` numbers in [0, 1]."""
    most, least = pictures.amax(1), pictures.amin(1)
    chroma = most - least
    r, g, b = pictures.unbind(1)
    safe = chroma.clamp(min=1e-4)
    sector = torch.where(most == r, ((g - b) / safe) % 6, torch.where(most == g, (b - r) / safe + 2, (r - g) / safe + 4))  # 0…6, red at 0
    name = (sector * (HUES / 6)).round().long() % HUES
    hues = F.one_hot(name, HUES).movedim(-1, 1) * (chroma > SATURATED * (most + 0.05))[:, None]
    words = F.adaptive_avg_pool2d(torch.cat([hues.to(most.dtype), most[:, None]], 1), (grid[0] * PARTS, grid[1] * PARTS))
    return rearrange(words, "b k (y p) (x q) -> b (y x) (k p q)", p=PARTS, q=PARTS)
