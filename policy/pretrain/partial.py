"""A stream's tokens of a smaller picture, or of one with hidden patches."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor


def partial_tokens(
    stream: VisionTransformer, channels: Float[Tensor, "b c h w"], hidden: Bool[Tensor, "b n"] | None = None, mask: Float[Tensor, " d"] | None = None
) -> Float[Tensor, "b t d"]:
    """CLS and patch tokens of square pictures whose size is a multiple of the patch's; positions are interpolated where it is not the stream's own.

    The `hidden` patches say `mask`: what is in them is set to zero before the stem, which looks a little beyond a patch, and replaced after it.
    """
    side = math.isqrt(stream.patch_embed.num_patches)
    if hidden is not None:
        pixels = hidden.view(len(hidden), 1, side, side).repeat_interleave(channels.shape[-1] // side, 2).repeat_interleave(channels.shape[-1] // side, 3)
        channels = channels.masked_fill(pixels, 0)
    patches = stream.patch_embed(channels)  # (b, n, d)
    if hidden is not None and mask is not None:
        patches = torch.where(hidden[:, :, None], mask.to(patches.dtype), patches)
    assert stream.pos_embed is not None and stream.cls_token is not None  # as `TwoStreamEncoder` makes them
    positions: Tensor = stream.pos_embed
    rows = math.isqrt(patches.shape[1])
    if rows != side:
        positions = resample_abs_pos_embed(positions, [rows, rows], [side, side])
    x = torch.cat([stream.cls_token.expand(len(patches), -1, -1), patches], 1) + positions
    return stream.norm(stream.blocks(stream.norm_pre(stream.pos_drop(x))))
