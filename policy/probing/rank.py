"""How many dimensions tokens really use."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def effective_rank(tokens: Float[Tensor, "*b d"], most: int = 4096) -> float:
    """RankMe (Garrido et al. 2023): exp of the entropy of the singular values divided by their sum, between 1 and d.

    Of at most `most` tokens, evenly spaced.
    """
    rows = tokens.detach().reshape(-1, tokens.shape[-1])
    values = torch.linalg.svdvals(rows[:: max(1, len(rows) // most)].float())
    share = values / values.sum().clamp(min=1e-12) + 1e-7  # the paper's ε
    return float(torch.exp(-(share * share.log()).sum()))
