"""`join=transformer`: one multi-modal transformer over the picture's tokens and the words (spec B4): position and modality embeddings, a padding mask."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from policy.attention import Layer
from policy.joins.cross_attention import in_places
from policy.joins.join import Join, Sizes
from policy.shapes import Attended, Tokens, Words

LAYERS = 2


class Transformer(Join):
    """What the transformer says of a token is added to it. Words know their order from the language encoder, tokens their place from here."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.see, self.hear = (nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, sizes.width)) for dim in (sizes.dim, sizes.words_dim))
        self.place = nn.Linear(2, sizes.width)
        self.modality = nn.Parameter(0.02 * torch.randn(2, sizes.width))
        self.layers = nn.ModuleList(Layer(sizes.width) for _ in range(LAYERS))
        self.leave = nn.Sequential(nn.LayerNorm(sizes.width), nn.Linear(sizes.width, sizes.dim))

    def forward(self, tokens: Tokens, words: Words) -> Tokens:
        x, there = self._entered(tokens, words)
        for layer in self.layers:
            x = layer(x, there)
        return Tokens(tokens.values + self.leave(x[:, : tokens.values.shape[1]]), tokens.positions)

    def attended(self, tokens: Tokens, words: Words, looked: Float[Tensor, "b q n"] | None) -> list[Attended]:
        (x, there), found = self._entered(tokens, words), []
        for layer in self.layers:
            found.append(between(layer, x, there, words))  # type: ignore[arg-type]
            x = layer(x, there)
        return found

    def _entered(self, tokens: Tokens, words: Words) -> tuple[Float[Tensor, "b m w"], Bool[Tensor, "b m"]]:
        seen = in_places(self.see(tokens.values), self.place(tokens.positions)) + self.modality[0]
        return sequence(seen, self.hear(words.embeddings) + self.modality[1], words)


def sequence(seen: Float[Tensor, "b t w"], heard: Float[Tensor, "b l w"], words: Words) -> tuple[Float[Tensor, "b m w"], Bool[Tensor, "b m"]]:
    """Tokens and words one after the other, and which of them there are, (b, m)."""
    return torch.cat([seen, heard], 1), torch.cat([words.mask.new_ones(seen.shape[:2]), words.mask], 1)


def between(layer: Layer, x: Float[Tensor, "b m w"], there: Bool[Tensor, "b m"], words: Words) -> Attended:
    """What of a layer's attention goes from words to tokens and from tokens to words, in what `sequence` gives; the rest stays on its own side."""
    weights, tokens = layer.weights(x, there), x.shape[1] - words.mask.shape[1]
    return Attended(weights[:, tokens:, :tokens] * words.mask[..., None], weights[:, :tokens, tokens:])
