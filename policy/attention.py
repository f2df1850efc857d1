"""Multi-head attention with a mask, and a transformer layer of it: what languages and joins are made of."""

from __future__ import annotations

import math

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

HEADS = 4


class Attention(nn.Module):
    """Each x looks at the `others` that `mask` allows; at least one of them must be allowed. `others_dim`: of a token of theirs, where it is another."""

    def __init__(self, dim: int, others_dim: int | None = None) -> None:
        super().__init__()
        self.ask, self.tell, self.leave = nn.Linear(dim, dim), nn.Linear(others_dim or dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "b n d"], others: Float[Tensor, "b m o"], mask: Bool[Tensor, "b m"] | None = None) -> Float[Tensor, "b n d"]:
        asked, keys, values = self._parts(x, others)
        seen = F.scaled_dot_product_attention(asked, keys, values, None if mask is None else mask[:, None, None])
        return self.leave(rearrange(seen, "b heads n d -> b n (heads d)"))

    def weights(self, x: Float[Tensor, "b n d"], others: Float[Tensor, "b m o"], mask: Bool[Tensor, "b m"] | None = None) -> Float[Tensor, "b n m"]:
        """How much each x attends to each of the others, mean over heads; a row sums to 1. `forward` computes none of it, so it costs only who asks."""
        asked, keys, _ = self._parts(x, others)
        scores = asked @ keys.transpose(-1, -2) / math.sqrt(asked.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], -math.inf)
        return scores.softmax(-1).mean(1)

    def _parts(self, x: Tensor, others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (b, heads, n or m, d)."""
        asked = rearrange(self.ask(x), "b n (heads d) -> b heads n d", heads=HEADS)
        keys, values = rearrange(self.tell(others), "b m (two heads d) -> two b heads m d", two=2, heads=HEADS)
        return asked, keys, values


class Layer(nn.Module):
    """Self-attention, then two layers per token, each after a LayerNorm and added to what was there."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.attention, self.feed = nn.LayerNorm(dim), Attention(dim), Feed(dim)

    def forward(self, x: Float[Tensor, "b n d"], mask: Bool[Tensor, "b n"] | None = None) -> Float[Tensor, "b n d"]:
        seen = self.norm(x)
        return self.feed(x + self.attention(seen, seen, mask))

    def weights(self, x: Float[Tensor, "b n d"], mask: Bool[Tensor, "b n"] | None = None) -> Float[Tensor, "b n n"]:
        """As of `Attention`."""
        seen = self.norm(x)
        return self.attention.weights(seen, seen, mask)


class Feed(nn.Module):
    """x + two layers of LayerNorm(x), per token."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return x + self.layers(x)
