"""When a task is done: pure functions of positions (metres, world frame) and speeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def distance_xy_m(a: ArrayLike, b: ArrayLike) -> float:
    """Horizontal distance of two points."""
    return float(np.linalg.norm(np.asarray(a, float)[:2] - np.asarray(b, float)[:2]))


def offset_along_m(a: ArrayLike, b: ArrayLike, axis: ArrayLike) -> tuple[float, float]:
    """Where `a` is from `b`: how far along the horizontal unit vector `axis`, and how far from the line through `b` along it."""
    offset = np.asarray(a, float)[:2] - np.asarray(b, float)[:2]
    unit = np.asarray(axis, float)[:2]
    return float(offset @ unit), float(abs(offset[0] * unit[1] - offset[1] * unit[0]))


def is_beside(a: ArrayLike, b: ArrayLike, axis: ArrayLike, least_m: float, most_m: float, across_m: float) -> bool:
    """Whether `a` is between `least_m` and `most_m` from `b` along `axis` and within `across_m` of the line."""
    along, across = offset_along_m(a, b, axis)
    return least_m <= along <= most_m and across <= across_m


def is_lifted(height_m: float, rest_height_m: float, least_m: float) -> bool:
    return height_m - rest_height_m >= least_m


def is_still(velocity: ArrayLike, linear_m_s: float, angular_rad_s: float) -> bool:
    """Whether a body with velocity (angular 3, linear 3) moves slower than both bounds."""
    values = np.asarray(velocity, float)
    return bool(np.linalg.norm(values[3:]) <= linear_m_s and np.linalg.norm(values[:3]) <= angular_rad_s)


def is_at_height(height_m: float, rest_height_m: float, tolerance_m: float) -> bool:
    return abs(height_m - rest_height_m) <= tolerance_m
