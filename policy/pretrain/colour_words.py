"""What colours lie where in a patch, in numbers that a linear map can be asked for.

Every pixel gets the name of one colour: one of `HUES` hues if it is saturated, else none. Each quarter of a patch is described by its lightness
and, for each name, by its share: how much of it has that name over how much of its neighbourhood has. The shares of one thing sum to nearly the same
wherever it is, how far away and how much of it is hidden, so its centre is a linear function of them. It is not one of amounts (half a thing would
lie half as far from the origin), nor of RGB values. A token that gives shares to a linear map tells things apart and says where in its patch they are.
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
AROUND = 9  # parts that the neighbourhood of a part is wide: a thing of the tasks and its surroundings
LITTLE = 0.01  # of a neighbourhood: less than that of a colour is no thing
WORDS = (HUES + 1) * PARTS**2  # numbers a patch
DEFINITION = f"{HUES} {SATURATED} {PARTS} {AROUND} {LITTLE}"  # names what words mean, for what is computed from them and kept


def colour_words(pictures: Float[Tensor, "b 3 h w"], grid: tuple[int, int]) -> Float[Tensor, "b n words"]:
    """Of pictures in [0, 1]: for each patch of the grid `WORDS` numbers of 0 and more."""
    most, least = pictures.amax(1), pictures.amin(1)
    chroma = most - least
    r, g, b = pictures.unbind(1)
    safe = chroma.clamp(min=1e-4)
    sector = torch.where(most == r, ((g - b) / safe) % 6, torch.where(most == g, (b - r) / safe + 2, (r - g) / safe + 4))  # 0…6, red at 0
    name = (sector * (HUES / 6)).round().long() % HUES
    hues = F.one_hot(name, HUES).movedim(-1, 1) * (chroma > SATURATED * (most + 0.05))[:, None]
    parts = F.adaptive_avg_pool2d(torch.cat([hues.to(most.dtype), most[:, None]], 1), (grid[0] * PARTS, grid[1] * PARTS))
    share = parts[:, :HUES] / AROUND / (F.avg_pool2d(parts[:, :HUES], AROUND, 1, AROUND // 2) + LITTLE)
    return rearrange(torch.cat([share, parts[:, HUES:]], 1), "b k (y p) (x q) -> b (y x) (k p q)", p=PARTS, q=PARTS)
