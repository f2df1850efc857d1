"""Tokens that say the same of every picture: noticed in a batch, cheaply enough for every few steps of a training."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from policy.probing.rank import effective_rank

# Ranks, of the width: of random streams 0.25, of video prediction 0.1, of streams that name colours (few directions hold most) 0.03. A collapse has one or two.
LEAST_RANK = 1 / 64  # of the width
LEAST_SPREAD = 0.05  # deviation divided by root mean square
LEAST_PICTURE = 0.05  # share of the variance that is between pictures and not between places alone


def collapse(tokens: Float[Tensor, "b n d"], name: str = "tokens") -> str | None:
    """What is wrong with the patch tokens of a batch of different pictures, in one line, or None.

    Noticed: values that are not finite; all tokens alike; tokens that depend on the place but not on the picture; few dimensions in use.
    """
    x = tokens.detach().float()
    if not bool(x.isfinite().all()):
        return f"{name}: not finite"
    inside = x - x.mean(dim=(0, 1))
    between = x - x.mean(dim=0)
    size, spread, picture = (float(part.square().mean().sqrt()) for part in (x, inside, between))
    if spread <= LEAST_SPREAD * size:
        return f"{name}: collapsed, all are alike (their deviation is {spread / max(size, 1e-12):.3f} of their size)"
    if picture**2 <= LEAST_PICTURE * spread**2:
        return f"{name}: collapsed, they hardly depend on the picture ({picture**2 / spread**2:.3f} of their variance)"
    rank, least = effective_rank(between, most=1024), max(2.0, LEAST_RANK * x.shape[-1])
    if rank < least:
        return f"{name}: collapsed, effective rank {rank:.1f} of {x.shape[-1]} dimensions (at least {least:.1f} expected)"
    return None


def collapsed_choices(logits: Float[Tensor, "b k"]) -> str | None:
    """The same for an objective that sorts pictures into k prototypes: one prototype for all, or all prototypes alike for each."""
    most = math.log(logits.shape[-1])
    each, mean = entropies(logits)
    if mean < 0.05 * most:
        return f"prototypes: collapsed, one is chosen for every picture (entropy of the mean choice {mean:.3f} of {most:.2f})"
    if each > 0.999 * most:
        return f"prototypes: collapsed, all are alike for every picture (entropy {each:.3f} of {most:.2f})"
    return None


def entropies(logits: Float[Tensor, "b k"]) -> tuple[float, float]:
    """Entropy (nats) of each row's softmax, averaged, and of the averaged softmax: sharp choices that differ give a small and a large one."""
    share = logits.detach().float().softmax(dim=-1)
    each = torch.special.entr(share).sum(dim=-1).mean()
    return float(each), float(torch.special.entr(share.mean(dim=0)).sum())
