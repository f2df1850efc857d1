"""Motions of the table's plane: how things lie now beside how they lay in a demonstration. Metres, radians, world frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

DIRECTIONS = 72  # in which the outline of an object is measured
ROUND, ALIKE = 0.04, 0.06  # how much widths may differ, as shares, in what counts as round, or as the same after a turn


@dataclass(frozen=True)
class Planar:
    """Turns about the vertical through `pivot` (3,) by `turn`, then moves by `shift` (3,)."""

    turn: float
    pivot: np.ndarray
    shift: np.ndarray

    def points(self, points: np.ndarray) -> np.ndarray:
        """(…, 3) → (…, 3)."""
        return (points - self.pivot) @ vertical(self.turn).T + self.pivot + self.shift


def between(old_pos: np.ndarray, new_pos: np.ndarray, turn: float) -> Planar:
    """What brings an object from `old_pos` to `new_pos`, turned by `turn` on the way."""
    return Planar(turn, np.asarray(old_pos, float), np.asarray(new_pos, float) - old_pos)


def vertical(angle: float) -> np.ndarray:
    """Rotation matrix (3, 3) about the vertical."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def heading(rotation: np.ndarray) -> float:
    """Where a body with axes `rotation` (3, 3) points in the plane: the axis after the one that is most upright, so that a cube has one on any face."""
    axis = rotation[:, (int(np.argmax(np.abs(rotation[2]))) + 1) % 3]
    return float(np.arctan2(axis[1], axis[0]))


def turned_by(old: np.ndarray, new: np.ndarray) -> float:
    """The part about the vertical of the turn between two rotation matrices (3, 3)."""
    both = new @ old.T
    return float(np.arctan2(both[1, 0] - both[0, 1], both[0, 0] + both[1, 1]))


def least_turn(angle: float, symmetry: int, near: float = 0.0) -> float:
    """`angle` less as many of the turns that leave the object as it was as bring it nearest to `near`. `symmetry`: how many there are, 0: any (round)."""
    if symmetry == 0:
        return near
    part = 2 * np.pi / symmetry
    return float(near + (angle - near + part / 2) % part - part / 2)


def symmetry_of(outline: np.ndarray) -> int:
    """How many turns about the vertical leave an object as it was, for fingers that close on it: 0 (any), 4, 2 or 1; `outline` (n, 2): points that span it."""
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    reach = (outline @ np.stack([np.cos(angles), np.sin(angles)])).max(0)  # (DIRECTIONS,)
    size = float(reach.mean())
    if float(np.ptp(reach)) < ROUND * size:
        return 0
    for turns in (4, 2):
        if float(np.abs(reach - np.roll(reach, DIRECTIONS // turns)).max()) < ALIKE * size:
            return turns
    return 1


def rotated(rotation_vector: np.ndarray) -> np.ndarray:
    """Axis times angle (…, 3) → rotation matrices (…, 3, 3)."""
    flat = Rotation.from_rotvec(np.reshape(rotation_vector, (-1, 3))).as_matrix()
    return flat.reshape(*np.shape(rotation_vector)[:-1], 3, 3)


def rotation_vector(matrix: np.ndarray) -> np.ndarray:
    """(3, 3) → axis times angle (3,)."""
    return Rotation.from_matrix(matrix).as_rotvec()
