"""How the learning rate goes, the same in every training of this package."""

from __future__ import annotations

import math


def schedule(step: int, steps: int, warmup: float = 0.05) -> float:
    """Linear warm-up, then half a cosine to 1 % of the rate."""
    first = max(1, int(warmup * steps))
    if step < first:
        return (step + 1) / first
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - first) / max(1, steps - first)))
