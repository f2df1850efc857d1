"""How much of the loss's gradient reaches each patch of M and P (spec A15)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from policy.model import Policy
from policy.shapes import StreamTokens
from whatwhere.errors import BadInput


@dataclass(frozen=True)
class GradientFlow:
    """Lengths of the gradient of each sample's own loss by its stream tokens, for b samples and c cameras."""

    m: Float[Tensor, "b c n"]
    p: Float[Tensor, "b c n"]
    cls: Float[Tensor, "b c 2"]  # of M and P

    def summary(self) -> dict[str, float | None]:
        """Means over samples: `patch` (length at a patch), `m_share` (M's part of what reaches patches), `cls_share` (CLS's of what reaches any token), and
        `entropy_m`, `entropy_p`: how evenly it is spread over the patches, from 0 (all at one) to 1 (alike at all).
        None where no gradient arrives, as at the patches below CLS alone."""
        m, p, cls = self.m.sum((1, 2)), self.p.sum((1, 2)), self.cls.sum((1, 2))
        known = m + p + cls > 0
        found = {
            "patch": float(torch.cat([self.m, self.p], -1).mean()),
            "m_share": _mean((m / (m + p))[m + p > 0]),
            "cls_share": _mean((cls / (m + p + cls))[known]),
            "entropy_m": evenness(self.m),
            "entropy_p": evenness(self.p),
        }
        return {name: None if math.isnan(value) else value for name, value in found.items()}


def gradient_flow(
    policy: Policy,
    frames: Shaped[Tensor, "b c 2 h w 3"],
    proprio: Float[Tensor, "b s"],
    task: Shaped[Tensor, "b ..."],
    actions: Float[Tensor, "b k a"],
    valid: Bool[Tensor, "b k"],
) -> GradientFlow:
    """Of a policy as it is when it acts: no dropout. Raises BadInput for one without streams, or whose loss needs more than actions."""
    if policy.streams is None:
        raise BadInput(f"encoder={policy.config.encoder}: has no streams, so no patches of M and P")
    if policy.head.sees_own:
        raise BadInput(f"head={policy.config.head}: its loss needs what an inverse model says")
    training = policy.training
    policy.eval()
    with torch.no_grad():
        seen = policy.look(frames)
    assert isinstance(seen, StreamTokens)
    leaves = [part.detach().clone().requires_grad_() for part in (seen.m_cls, seen.m_patches, seen.p_cls, seen.p_patches)]
    with torch.enable_grad():
        loss = policy.head.loss(policy.read(StreamTokens(*leaves), proprio, task).features, actions, valid)
        parts = torch.autograd.grad(loss * len(frames), leaves, allow_unused=True)  # the loss is the samples' mean
    policy.train(training)
    m_cls, m, p_cls, p = (
        torch.zeros_like(leaf[..., 0]) if part is None else torch.linalg.vector_norm(part, dim=-1) for part, leaf in zip(parts, leaves, strict=True)
    )
    return GradientFlow(m, p, torch.stack([m_cls, p_cls], -1))


def evenness(lengths: Float[Tensor, "*b n"]) -> float:
    """Entropy over the patches by that of a flat map, the mean of those maps that are not zero; nan if all are."""
    rows = lengths.reshape(-1, lengths.shape[-1])
    rows = rows[rows.sum(-1) > 0]
    return _mean(torch.special.entr(rows / rows.sum(-1, keepdim=True)).sum(-1) / math.log(lengths.shape[-1]))


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else math.nan
