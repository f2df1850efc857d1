"""What a policy wants when it is asked, as its video shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Desire:
    """`pictures`: what they show and the pictures (c, h, w, 3), the desire itself first; `ahead`: in how many control steps; None: at the end."""

    pictures: tuple[tuple[str, NDArray[np.uint8]], ...]
    ahead: int | None
