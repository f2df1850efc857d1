"""Streams' tokens without a part of what changed: so that a decoder has to tell what moved, and cannot copy it."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from policy.shapes import StreamTokens


def without(
    tokens: StreamTokens, hidden: Bool[Tensor, "b n"], unknown: Bool[Tensor, " b"], mask: Float[Tensor, " d"], cls_mask: Float[Tensor, " d"]
) -> StreamTokens:
    """`mask` in place of the `hidden` patches of M and, where `unknown`, `cls_mask` in place of its CLS."""
    m_patches = torch.where(hidden[:, :, None], mask.to(tokens.m_patches.dtype), tokens.m_patches)
    m_cls = torch.where(unknown[:, None], cls_mask.to(tokens.m_cls.dtype), tokens.m_cls)
    return dataclasses.replace(tokens, m_patches=m_patches, m_cls=m_cls)
