"""`join=hierarchical`: fusion of single tokens with the instruction, then cross-attention with the words, then a transformer over both (spec B7)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from policy.attention import Layer
from policy.joins.cross_attention import BothWays
from policy.joins.early import Early
from policy.joins.join import Join, Sizes
from policy.joins.transformer import between, sequence
from policy.shapes import Attended, Tokens, Words


class Hierarchical(Join):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.low, self.middle, self.high = Early(sizes), BothWays(sizes), Layer(sizes.width)
        self.leave = nn.Sequential(nn.LayerNorm(sizes.width), nn.Linear(sizes.width, sizes.dim))

    def forward(self, tokens: Tokens, words: Words) -> Tokens:
        low = self.low(tokens, words)
        seen, said = self.middle(low, words)
        x, there = sequence(seen, said, words)
        return Tokens(low.values + self.leave(self.high(x, there)[:, : low.values.shape[1]]), tokens.positions)

    def attended(self, tokens: Tokens, words: Words, looked: Float[Tensor, "b q n"] | None) -> list[Attended]:
        """In the middle and above."""
        low = self.low(tokens, words)
        seen, said = self.middle(low, words)
        x, there = sequence(seen, said, words)
        return [self.middle.attended(low, words), between(self.high, x, there, words)]
