"""Where a policy looked, as pictures show it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Look:
    """Where the policy looked: keypoints (c, q, 2), x and y in [-1, 1] over each picture, and heat (c, rows, columns), which sums to 1 a camera."""

    keypoints: NDArray[np.float32]
    heat: NDArray[np.float32]
