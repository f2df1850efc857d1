"""Hand, fingers and loose objects in one state. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moment:
    """One state. Metres, radians, world frame; `objects`: position (3,) and axes (3, 3) by name."""

    hand_pos: np.ndarray  # (3,)
    hand_rot: np.ndarray  # (3, 3)
    fingers: np.ndarray  # (f,)
    objects: dict[str, tuple[np.ndarray, np.ndarray]]
    grasped: frozenset[str]  # objects that fingers touch from both sides
