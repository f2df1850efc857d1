"""A whole picture and the caption that names its things from left to right, each as one vector of length 1 (spec B3)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from policy.aligning.contrast import Temperature
from policy.config import PolicyConfig
from policy.language.transformer import Transformer

DIM = 128  # of both vectors
INSIDE = 64  # numbers of a column
DROPPED = 0.2  # share of these that training hides


class Pictures(nn.Module):
    """Pictures as columns of patches, so that what is left of what is not lost; captions by `language=transformer`."""

    def __init__(self, dim: int, grid: tuple[int, int], vocabulary: tuple[str, ...], words_dim: int) -> None:
        super().__init__()
        self.grid = grid
        self.enter = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, INSIDE), nn.GELU())
        self.leave = nn.Sequential(nn.Dropout(DROPPED), nn.Linear(grid[1] * INSIDE, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM))
        self.language = Transformer(PolicyConfig(language="transformer", vocabulary=vocabulary, task_dim=words_dim))
        self.say = nn.Linear(words_dim, DIM)
        self.temperature = Temperature()

    def picture(self, patches: Float[Tensor, "b n d"]) -> Float[Tensor, "b e"]:
        columns = self.enter(patches).unflatten(1, self.grid).amax(dim=1)  # (b, columns, inside): a thing is there, wherever in the column
        return F.normalize(self.leave(columns.flatten(1)), dim=-1)

    def caption(self, codes: Int[Tensor, "b l"]) -> Float[Tensor, "b e"]:
        return F.normalize(self.say(self.language(codes).pooled), dim=-1)
