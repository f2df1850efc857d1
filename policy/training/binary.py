"""Which numbers of an action are a choice between two."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def binary_numbers(actions: Float[np.ndarray, "t a"]) -> tuple[tuple[int, float, float], ...]:
    """(number, lower value, higher value) of each number that had two values, and no third, in recorded actions."""
    values = [np.unique(column) for column in actions.T]
    return tuple((number, float(found[0]), float(found[1])) for number, found in enumerate(values) if len(found) == 2)
