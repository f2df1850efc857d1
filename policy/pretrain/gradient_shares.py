"""Which of the two streams a loss trains: P's share of the gradient that reaches them, of the whole loss and of each of its parts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from policy.streams import TwoStreamEncoder

if TYPE_CHECKING:
    from policy.pretrain.objective import Objective


def gradient_share(streams: TwoStreamEncoder) -> float:
    """Of the last backward pass: norm over all weights of P, divided by that plus M's. nan where no gradient reached either."""
    return _share(*([weights.grad for weights in part.parameters()] for part in (streams.encoder_p, streams.encoder_m)))


def shares_of_terms(objective: Objective, *given: Tensor, generator: torch.Generator) -> dict[str, float]:
    """{gradient_p_<term>: P's share} of one batch, for an objective whose loss has several terms; nothing for one that has one, or whose streams are frozen."""
    p, m = ([weights for weights in part.parameters() if weights.requires_grad] for part in (objective.streams.encoder_p, objective.streams.encoder_m))
    if not p + m:
        return {}
    with torch.enable_grad():
        terms = {name: term for name, term in objective.terms(*given, generator).items() if term.requires_grad}
    if len(terms) < 2:
        return {}
    found = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, p + m, retain_graph=True, allow_unused=True)
        if math.isfinite(share := _share(gradients[: len(p)], gradients[len(p) :])):  # a term of weight 0 reaches neither
            found[f"gradient_p_{name}"] = share
    return found


def _share(p: Iterable[Tensor | None], m: Iterable[Tensor | None]) -> float:
    of_p, of_m = (math.sqrt(sum(float(gradient.square().sum()) for gradient in part if gradient is not None)) for part in (p, m))
    return of_p / (of_p + of_m) if of_p + of_m > 0 else math.nan
