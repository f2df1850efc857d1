"""The noise of heads that draw: a function of the episode and of how many answers it had before, never of anything global."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def drawn(seed: Sequence[int], query: int, count: int) -> Float[np.ndarray, " z"]:
    """`count` standard normal numbers for answer `query` (from 0) of the episode that `seed`, whole numbers from 0, names."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([*seed, query]))).standard_normal(count, dtype=np.float32)
