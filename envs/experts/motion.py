"""What experts know of things that move by themselves, and since when."""

from __future__ import annotations

from typing import Any

import numpy as np


def velocity(info: dict[str, Any]) -> np.ndarray:
    """(3,) m/s: with which the target moves by itself now."""
    return info.get("privileged/target_velocity_world", np.zeros(3))


def is_untold(info: dict[str, Any]) -> bool:
    """Whether pictures have not shown yet which of several equal things is meant.

    An expert that goes there all the same shows what no policy can know.
    """
    return not info.get("privileged/is_told", True)
