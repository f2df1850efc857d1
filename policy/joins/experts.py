"""`join=experts`: a mixture of experts by modality (spec B12): of the picture, of the words and of both, weighed by a gate, token by token."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.joins.join import Join, Sizes
from policy.shapes import Tokens, Words

EXPERTS = ("picture", "words", "both")


class Experts(Join):
    """What the experts say, weighed, is added to the token. `weights` tells how much each modality counts where (adaptive fusion)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        inside = {"picture": sizes.dim, "words": sizes.words_dim, "both": sizes.dim + sizes.words_dim}
        self.experts = nn.ModuleList(_layers(inside[name], sizes.width, sizes.dim) for name in EXPERTS)
        self.gate = _layers(inside["both"], sizes.width, len(EXPERTS))

    def forward(self, tokens: Tokens, words: Words) -> Tokens:
        said = words.pooled[:, None].expand(-1, tokens.values.shape[1], -1)  # (b, t, e)
        both = torch.cat([tokens.values, said], dim=-1)
        answers = torch.stack([expert(x) for expert, x in zip(self.experts, (tokens.values, said, both), strict=True)], dim=-1)  # (b, t, d, experts)
        return Tokens(tokens.values + (answers * self._weights(both)[..., None, :]).sum(-1), tokens.positions)

    def weights(self, tokens: Tokens, words: Words) -> Float[Tensor, "b t experts"]:
        """Of each of EXPERTS; they sum to 1."""
        return self._weights(torch.cat([tokens.values, words.pooled[:, None].expand(-1, tokens.values.shape[1], -1)], dim=-1))

    def _weights(self, both: Float[Tensor, "b t d"]) -> Float[Tensor, "b t experts"]:
        return self.gate(both).softmax(-1)


def _layers(inside: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(inside), nn.Linear(inside, width), nn.GELU(), nn.Linear(width, out))
