"""Which rows of demonstrations a sample remembers. Numpy alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def windows(rows: Int[np.ndarray, " b"], first: Int[np.ndarray, " t"], memory: int, gap: int) -> Int[np.ndarray, "b n"]:
    """For each row those `gap` apart up to it, oldest first; its episode's first row stands in for what would be before it: nothing of another one."""
    back = gap * np.arange(memory - 1, -1, -1)
    return np.maximum(rows[:, None] - back, first[rows][:, None])
