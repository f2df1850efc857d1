"""`language=transformer`: word vectors and their positions through two transformer layers, trained with the policy (spec B10)."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor, nn

from policy.attention import Layer
from policy.config import PolicyConfig
from policy.language.numbered import Numbered, mean
from policy.language.vocabulary import LONGEST
from policy.shapes import Words

LAYERS = 2


class Transformer(Numbered):
    """Each word knows all others; the whole is the words' mean."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config)
        self.positions = nn.Parameter(0.02 * torch.randn(LONGEST, self.dim))
        self.layers = nn.ModuleList(Layer(self.dim) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(self.dim)

    def forward(self, code: Int[Tensor, "b l"]) -> Words:
        vectors, mask = self.look_up(code)
        x = vectors + self.positions[: code.shape[1]]
        for layer in self.layers:
            x = layer(x, mask)
        embeddings = self.norm(x)
        return Words(embeddings, mask, mean(embeddings, mask))
