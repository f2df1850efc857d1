"""Segments of a source moved to where things lie now: for each recorded step, where hand and held object are to be. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from envs.demos.multiplication.moment import Moment
from envs.demos.multiplication.planar import Planar, between, heading, least_turn, turned_by, vertical
from envs.demos.multiplication.segments import Hold, on_the_way, to_the_end
from envs.demos.multiplication.sources import Frame
from envs.demos.multiplication.trace import Trace

OPEN_ENOUGH = 0.85


@dataclass(frozen=True)
class Aim:
    """Where the hand is to be: as the source wanted it (`pos`, `rot`), and as the source was then (`was`); `lead`: metres between the two in the source."""

    pos: np.ndarray  # (3,)
    rot: np.ndarray  # (3, 3)
    was: np.ndarray  # (3,)
    lead: float


class Leg(Protocol):
    """Part of a hold. `steps`: those of the source that are repeated, at least one; the first `free` of them are on the way, where pace and path may change."""

    trace: Trace
    steps: np.ndarray
    free: int
    closes: int  # from this one of `steps` on the gripper is told to close, …
    opens: int  # … and from this one on to open

    def aim(self, index: int, now: Moment) -> Aim: ...


class Approach:
    """To the object, until it was grasped and taken a little way: on the way between the hand's start and the object, then with the object."""

    def __init__(self, trace: Trace, hold: Hold, symmetry: int, now: Moment) -> None:
        way = on_the_way(trace, hold.begin, hold.near, "way" in hold.straight)
        near = to_the_end(trace, trace.hand_pos, hold.near, hold.closing)
        close = np.arange(hold.closing, hold.left)
        self.trace, self.hold, self._symmetry = trace, hold, symmetry
        self.steps, self.free, self.closes = np.concatenate([way, near, close]), len(way), len(way) + len(near)
        self.opens = len(self.steps)
        self.grasped = self.closes + hold.grasped - hold.closing
        self._weights = np.ones(len(self.steps))
        self._weights[: self.free] = travelled(trace.hand_pos[way])
        self._closed = trace.fingers[hold.grasped]
        self._opening = _widest(trace.fingers[hold.begin : hold.closing + 1] - self._closed)
        self._open = OPEN_ENOUGH * self.openness(trace.fingers[hold.closing])
        self._offset = now.hand_pos - trace.hand_pos[hold.begin]
        self.turn = 0.0
        self.place: np.ndarray | None = None  # (3,): of the object when the fingers began to close

    def openness(self, fingers: np.ndarray) -> float:
        """0: as closed as they held the object in the source; 1: as open as they came to it."""
        return float((fingers - self._closed) @ self._opening / max(float(self._opening @ self._opening), 1e-9))

    def is_open(self, now: Moment) -> bool:
        """Whether the fingers are about as open as when they began to close in the source."""
        return self.openness(now.fingers) >= self._open

    def close(self, now: Moment) -> None:
        """The fingers begin to close: from now on the object lies where it does."""
        self.aim(self.closes, now)
        self.place = now.objects[self.hold.name][0]

    def aim(self, index: int, now: Moment) -> Aim:
        trace, hold, step, weight = self.trace, self.hold, int(self.steps[index]), self._weights[index]
        then, place = min(step, hold.closing), self.place
        if place is None:  # it may still be pushed, here or in the source
            place, rotation = now.objects[hold.name]
            self.turn = least_turn(heading(rotation) - trace.headings[hold.name][then], self._symmetry, self.turn)
        moved = between(trace.objects[hold.name][then], place, self.turn)
        wanted, was = (blend(trace_pos[step], self._offset, moved, weight) for trace_pos in (trace.wanted_pos, trace.hand_pos))
        return Aim(wanted, vertical(weight * self.turn) @ trace.wanted_rot[step], was, _lead(trace, step))


class Carry:
    """With the object from where it lay to where it is let go; told of the object's place, not the hand's, which may hold it otherwise than in the source."""

    def __init__(self, trace: Trace, hold: Hold, frame: Frame, symmetry: dict[str, int], place: np.ndarray, now: Moment) -> None:
        """`place` (3,): where the object lay when it was grasped."""
        way = on_the_way(trace, hold.left, hold.goal, "carried" in hold.straight)
        near = to_the_end(trace, trace.objects[hold.name], hold.goal, hold.opening)
        self.trace, self.hold, self.frame, self._symmetry = trace, hold, frame, symmetry
        steps = np.concatenate([way, near])
        # where all was over as soon as it was grasped, what remains is to go on as the source did at last
        self.steps = steps if len(steps) else np.array([min(hold.opening, len(trace)) - 1])
        self.free, self.closes = len(way) if hold.is_let_go else 0, 0
        self.opens = len(self.steps)
        self._weights = np.ones(len(self.steps)) if hold.is_let_go else np.zeros(len(self.steps))
        self._weights[: self.free] = travelled(trace.objects[hold.name][way[: self.free]])
        self._turn = turned_by(trace.hand_rot[min(hold.left, len(trace) - 1)], now.hand_rot)
        self._lay = between(trace.objects[hold.name][hold.grasped], place, self._turn)

    def aim(self, index: int, now: Moment) -> Aim:
        trace, step, weight = self.trace, int(self.steps[index]), self._weights[index]
        there, turn = self._goal(now)
        thing = trace.objects[self.hold.name][step]
        held_at = now.objects[self.hold.name][0] - now.hand_pos
        wanted, was = (
            (1 - weight) * self._lay.points(x) + weight * there.points(x) - held_at for x in (thing + trace.wanted_pos[step] - trace.hand_pos[step], thing)
        )
        return Aim(wanted, vertical((1 - weight) * self._turn + weight * turn) @ trace.wanted_rot[step], was, _lead(trace, step))

    def _goal(self, now: Moment) -> tuple[Planar, float]:
        """What brings the source's goal to where it is now, and how far the hand turns for it."""
        about, last = self.frame.about, min(self.hold.opening, len(self.trace) - 1)
        if about is None:
            return Planar(0.0, np.zeros(3), np.zeros(3)), self._turn
        position, rotation = now.objects[about]
        there = self.trace.objects[about][last]
        if not self.frame.turns:
            return between(there, position, 0.0), self._turn
        turn = least_turn(heading(rotation) - self.trace.headings[about][last], self._symmetry[about])
        return between(there, position, turn), turn


class Away:
    """From where the object was let go, as the source went."""

    def __init__(self, trace: Trace, hold: Hold, now: Moment) -> None:
        self.trace, self.steps = trace, np.arange(hold.opening, hold.end)
        self.free, self.closes, self.opens = 0, 0, 0
        self._offset = now.hand_pos - trace.hand_pos[hold.opening]
        self._turn = turned_by(trace.hand_rot[hold.opening], now.hand_rot)

    def aim(self, index: int, now: Moment) -> Aim:
        step = int(self.steps[index])
        wanted, was = self.trace.wanted_pos[step] + self._offset, self.trace.hand_pos[step] + self._offset
        return Aim(wanted, vertical(self._turn) @ self.trace.wanted_rot[step], was, _lead(self.trace, step))


def _widest(opened: np.ndarray) -> np.ndarray:
    """(t, f), finger joints from how they held the object, up to where they began to close → (f,), to wide open: the farthest in the direction of the last,
    since fingers that closed on nothing before were as far the other way.
    """
    return opened[int((opened @ opened[-1]).argmax())]


def blend(position: np.ndarray, offset: np.ndarray, moved: Planar, weight: float) -> np.ndarray:
    """A place on the way from the hand's start (weight 0: as recorded, but for the starts' `offset`) to the object (weight 1: moved with it)."""
    return (1 - weight) * (position + offset) + weight * moved.points(position)


def travelled(path: np.ndarray) -> np.ndarray:
    """(n, 3) → (n,): the share of the path's length behind each place, from 0 to nearly 1, which the next place has."""
    if len(path) == 0:
        return np.zeros(0)
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    total = float(lengths.sum())
    behind = np.concatenate([[0.0], np.cumsum(lengths)])
    return behind / total if total > 1e-6 else np.linspace(0, 1, len(path))


def _lead(trace: Trace, step: int) -> float:
    return float(np.linalg.norm(trace.wanted_pos[step] - trace.hand_pos[step]))
