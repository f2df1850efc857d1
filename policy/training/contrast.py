"""`contrast=`: a second loss of fine-tuning. A picture is to find its own instruction among those of the batch, and the other way round (spec B3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from policy.aligning.contrast import Temperature, symmetric
from policy.shapes import Tokens

DIM = 64


class Contrast(nn.Module):
    """Learnt beside a policy and not kept with it: what its encoder gives of all cameras, before any word joins it, against its instruction as a whole."""

    def __init__(self, tokens_dim: int, cameras: int, words_dim: int) -> None:
        super().__init__()
        inside = 2 * cameras * tokens_dim
        self.picture = nn.Sequential(nn.LayerNorm(inside), nn.Linear(inside, DIM))
        self.words = nn.Linear(words_dim, DIM)
        self.temperature = Temperature()

    def forward(self, cameras: list[Tokens], whole: Float[Tensor, "b e"], same: Bool[Tensor, "b b"]) -> Float[Tensor, ""]:
        """`same`: which samples have the same instruction; they share what is right."""
        parts = [part for tokens in cameras for part in (tokens.values.mean(1), tokens.values.amax(1))]
        pictures = F.normalize(self.picture(torch.cat(parts, -1)).float(), dim=-1)
        return symmetric(pictures, F.normalize(self.words(whole).float(), dim=-1), self.temperature(), same)
