"""What student and teacher each have one of: streams, fusion and heads."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from timm.layers.patch_embed import PatchEmbed
from torch import Tensor, nn

from policy.channels import m_channels, p_channels
from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.partial import partial_tokens
from policy.pretrain.prototypes import Prototypes
from policy.shapes import StreamTokens
from policy.streams import TwoStreamEncoder


class Sight(nn.Module):
    """`mask_m`, `mask_p`: what hidden patches say. `patches=False`: no head for patches."""

    def __init__(self, streams: TwoStreamEncoder, cls_fusion: str, prototypes: int, width: int, bottleneck: int, patches: bool) -> None:
        super().__init__()
        self.streams = streams
        for stream in (streams.encoder_m, streams.encoder_p):
            if isinstance(stream.patch_embed, PatchEmbed):
                stream.patch_embed.strict_img_size = False  # small crops pass through the same projection
        self.fusion = PixelwiseFusion(streams.dim, streams.grid, "linear", cls_fusion, "separate")
        self.mask_m, self.mask_p = (nn.Parameter(torch.zeros(streams.dim)) for _ in range(2))
        self.cls_head = Prototypes(streams.dim, prototypes, width, bottleneck)
        self.patch_head = Prototypes(streams.dim, prototypes, width, bottleneck) if patches else None

    def forward(self, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], hidden: Bool[Tensor, "b r c"] | None = None) -> StreamTokens:
        """Both streams' tokens of pairs of any size, P being of the earlier frame (change=future)."""
        flat = None if hidden is None else hidden.flatten(1)
        m = partial_tokens(self.streams.encoder_m, m_channels(now, later), flat, self.mask_m)
        p = partial_tokens(self.streams.encoder_p, p_channels(now), flat, self.mask_p)
        return StreamTokens(m[:, 0], m[:, 1:], p[:, 0], p[:, 1:])

    def cls(self, tokens: StreamTokens) -> Float[Tensor, "b k"]:
        """Cosines of the fused CLS."""
        return self.cls_head(self.fusion.cls(tokens.m_cls[:, None], tokens.p_cls[:, None])[:, 0])
