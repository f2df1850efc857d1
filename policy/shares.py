"""How much each thing that a policy is given moves its answer: each is left out once (spec B13). Numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Asked = tuple[Any, Any, Any, Any]  # frames (c, 2, h, w, 3), what is known of the robot (own,), the instruction's code, noise


def left_out(asked: Asked, cameras: Sequence[str], usual: np.ndarray, silence: np.ndarray) -> dict[str, Asked]:
    """By name, what would be asked with a camera black, with `usual` of the robot (its mean in training), and with the code of no words."""
    frames, own, code, noise = asked
    found: dict[str, Asked] = {}
    for index, camera in enumerate(cameras):
        dark = frames.copy()
        dark[index] = 0
        found[camera] = dark, own, code, noise
    return found | {"proprio": (frames, usual, code, noise), "instruction": (frames, own, silence, noise)}


def shares(differences: Mapping[str, float]) -> dict[str, float]:
    """Of the sum of all differences; zeros where nothing makes one."""
    total = sum(differences.values())
    return {name: value / total if total else 0.0 for name, value in differences.items()}
