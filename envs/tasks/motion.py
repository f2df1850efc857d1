"""The course of what moves by itself: pure functions of time. Metres, seconds; `offset` is from where a thing lay at the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

TURN_S = 0.4  # to slow down and be as fast the other way, at an end of the way
MOVED_S, PUSH_S = 0.5, 0.4  # how long the nudge at the start takes, and the one that a near robot sets off
TRIES = 24  # directions, until a start counts as one that has no room


@dataclass(frozen=True)
class Scale:
    """How far things move in a scene; metres."""

    step_m: float  # between places that are looked at, whether a way is free
    ahead_m: float  # at least free in the direction that a drift begins with
    way_m: float  # at least free in all
    push_m: tuple[float, float]
    near_m: tuple[float, float]  # how near the robot is when it sets a push off
    seen_m: float  # so far is seen in two pictures (a pixel or two)


class Course(Protocol):
    """Where a thing is at a time since the motion began."""

    def offset(self, seconds: float) -> np.ndarray:
        """(2,) m."""
        ...

    def travelled(self, seconds: float) -> float:
        """m of way so far."""
        ...

    def is_over(self, seconds: float) -> bool: ...


@dataclass(frozen=True)
class Drift:
    """To and fro along a straight way at one speed, but for smooth turns at its ends."""

    direction: np.ndarray  # (2,) of length 1
    speed_m_s: float
    behind_m: float
    ahead_m: float

    def offset(self, seconds: float) -> np.ndarray:
        return self.direction * (self._along(self.behind_m + self.speed_m_s * seconds) - self._along(self.behind_m))

    def _along(self, way: float) -> float:
        """Place on the way from its hind end, of something that has gone `way` from there: a zigzag with round corners, never beyond an end."""
        length = self.behind_m + self.ahead_m
        corner = min(self.speed_m_s * TURN_S / 2, length / 2)
        lap = way % (2 * length)
        to_end, to_begin = lap - length, (lap + length) % (2 * length) - length  # of the lap, signed
        if abs(to_end) < corner:
            return length - (to_end**2 + corner**2) / (2 * corner)
        if abs(to_begin) < corner:
            return (to_begin**2 + corner**2) / (2 * corner)
        return min(lap, 2 * length - lap)

    def travelled(self, seconds: float) -> float:
        return self.speed_m_s * seconds

    def is_over(self, seconds: float) -> bool:
        return False


@dataclass(frozen=True)
class Push:
    """Once from here to there, from rest to rest."""

    direction: np.ndarray  # (2,) of length 1
    length_m: float
    seconds: float

    def offset(self, seconds: float) -> np.ndarray:
        share = float(np.clip(seconds / self.seconds, 0, 1))
        return self.direction * self.length_m * share**2 * (3 - 2 * share)

    def travelled(self, seconds: float) -> float:
        return float(np.linalg.norm(self.offset(seconds)))

    def is_over(self, seconds: float) -> bool:
        return seconds >= self.seconds


IsFree = Callable[[np.ndarray], bool]  # whether what moves may be displaced by (2,) m


def draw_drift(rng: np.random.Generator, speed_m_s: float, scale: Scale, is_free: IsFree) -> Drift | None:
    """A way in a direction in which there is room; None where there is none."""
    for _ in range(TRIES):
        direction = _direction(rng)
        ahead = _room(direction, scale, is_free)
        if ahead >= scale.ahead_m:
            behind = _room(-direction, scale, is_free)
            if ahead + behind >= scale.way_m and behind >= speed_m_s * TURN_S / 2:  # at full speed from the first moment
                return Drift(direction, speed_m_s, behind, ahead)
    return None


def draw_push(rng: np.random.Generator, length_m: float, seconds: float, scale: Scale, is_free: IsFree) -> Push | None:
    """A push in a direction in which there is room; None where there is none."""
    for _ in range(TRIES):
        direction = _direction(rng)
        if _room(direction, scale, is_free) >= length_m:
            return Push(direction, length_m, seconds)
    return None


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(-np.pi, np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _room(direction: np.ndarray, scale: Scale, is_free: IsFree) -> float:
    """How far one gets."""
    steps = 0
    while is_free(direction * scale.step_m * (steps + 1)):
        steps += 1
    return steps * scale.step_m
