"""Streams' tokens without a part of what changed: so that a decoder has to tell what moved, and cannot copy it."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from policy.shapes import StreamTokens


def without_patches(tokens: StreamTokens, hidden: Bool[Tensor, "b n"], mask: Float[Tensor, " d"]) -> StreamTokens:
    """`mask` in place of the `hidden` patches of M."""
    return dataclasses.replace(tokens, m_patches=torch.where(hidden[:, :, None], mask.to(tokens.m_patches.dtype), tokens.m_patches))


def without_cls(tokens: StreamTokens, unknown: Bool[Tensor, " b"], mask: Float[Tensor, " d"]) -> StreamTokens:
    """`mask` in place of M's CLS, where `unknown`."""
    return dataclasses.replace(tokens, m_cls=torch.where(unknown[:, None], mask.to(tokens.m_cls.dtype), tokens.m_cls))
