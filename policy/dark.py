"""Training with one camera black now and then (`camera_dropout`), so that a policy can go on when one fails (policy.fallback)."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from policy.shapes import StreamTokens


def drawn_dark(b: int, cameras: int, share: float, device: torch.device) -> Bool[Tensor, "b c"]:
    """For a share of the samples, one of the cameras, each equally often."""
    hidden = torch.rand(b, device=device) < share
    which = torch.randint(cameras, (b,), device=device)
    return hidden[:, None] & (which[:, None] == torch.arange(cameras, device=device))


def darkened(tokens: StreamTokens, dark: Bool[Tensor, "b c"], black: StreamTokens) -> StreamTokens:
    """Tokens (b, c, …) with those of `dark` cameras replaced by `black` ones (1, 1, …)."""
    cls, patches = dark[..., None], dark[..., None, None]
    return StreamTokens(
        torch.where(cls, black.m_cls, tokens.m_cls),
        torch.where(patches, black.m_patches, tokens.m_patches),
        torch.where(cls, black.p_cls, tokens.p_cls),
        torch.where(patches, black.p_patches, tokens.p_patches),
    )
