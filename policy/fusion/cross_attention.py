"""Fusion by attention: across all patches of the other stream, or, for CLS, between the two tokens."""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float
from timm.models.vision_transformer import Block
from torch import Tensor, nn, stack

from whatwhere.errors import BadInput

HEADS = 8


class CrossAttention(nn.Module):
    """M asks P and P asks M, each patch attending to all patches of the other stream; mean of both, then a
    4D feed-forward; about 16D² weights (spec A13)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        _check(dim)
        self.norm_m, self.norm_p, self.norm = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.m_asks_p = nn.MultiheadAttention(dim, HEADS, batch_first=True)
        self.p_asks_m = nn.MultiheadAttention(dim, HEADS, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, m: Float[Tensor, "b n d"], p: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        m_seen, p_seen = self.norm_m(m), self.norm_p(p)
        m_new = m + self.m_asks_p(m_seen, p_seen, p_seen, need_weights=False)[0]
        p_new = p + self.p_asks_m(p_seen, m_seen, m_seen, need_weights=False)[0]
        both = (m_new + p_new) / 2
        return both + self.feed(self.norm(both))


class PairAttention(nn.Module):
    """A transformer layer (8 heads, 4D feed-forward) over the two tokens m and p of a place, then their mean; 12D²
    weights (spec A4: the CLS option, where attention to a single other token would be no choice at all)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        _check(dim)
        self.layer = Block(dim, HEADS, mlp_ratio=4.0, qkv_bias=True)

    def forward(self, m: Float[Tensor, "b n d"], p: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        pairs = rearrange(stack([m, p]), "two b n d -> (b n) two d")
        return rearrange(self.layer(pairs).mean(dim=1), "(b n) d -> b n d", b=len(m))


def _check(dim: int) -> None:
    if dim % HEADS:
        raise BadInput(f"dim={dim}: attention between the streams has {HEADS} heads; needs a multiple of {HEADS}")
