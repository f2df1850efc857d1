"""Where a demonstration's segments begin and end: what was grasped, carried and let go when, told by the recorded states. Numpy only.

A *hold* is one object from the approach on until it was let go (or to the end). Of an object that was grasped several times the last grasp counts: those before
were wrong tries, and the way to them is left out. So are pauses and slips.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from envs.demos.multiplication.trace import Trace, bridged

NEAR_M = 0.08  # so near to where it closes or lets go, the hand moves with the object, and farther away it finds its way between the two
LEAVE_M = 0.04  # after a grasp it moves with where the object lay for so long
CARRIED_M = 0.015  # an object that was carried less far was only touched
TURN_AS_M = 0.06  # a radian counts like so much distance
TOUCH_GAP = 3  # steps without contact that do not end a hold
AT_END = 3  # a hold that lasts to so many steps before the end, with the gripper told to close, lasts to the end


@dataclass(frozen=True)
class Hold:
    """Steps of one hold: [begin, near) on the way, [near, closing) near the object, [closing, grasped) the fingers close, [grasped, left) still where it lay,
    [left, goal) carried, [goal, opening) near its goal, [opening, end) away. `opening` = `end` where it was never let go."""

    name: str
    begin: int
    near: int
    closing: int
    grasped: int
    left: int
    goal: int
    opening: int
    end: int
    straight: frozenset[str] = field(default=frozenset())  # "way", "carried": parts whose rest was left out after a slip

    @property
    def is_let_go(self) -> bool:
        return self.opening < self.end


def holds(trace: Trace) -> list[Hold]:
    """The holds of a demonstration in their order; none if nothing was carried."""
    found = [last[-1] for name in trace.objects if (last := _carried(trace, name))]
    chain: list[Hold] = []
    for name, first, last in sorted(found, key=lambda one: one[1]):
        after = chain[-1].end if chain else 0
        if first > after:
            chain.append(_hold(trace, name, first, last, after))
    return chain


def _carried(trace: Trace, name: str) -> list[tuple[str, int, int]]:
    """(name, first step, last step) of each time that an object was between the fingers and moved."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bridged(trace.grasped[name], TOUCH_GAP).astype(np.int8), [0]])))
    runs = [(int(first), int(stop) - 1) for first, stop in zip(edges[::2], edges[1::2], strict=True)]
    path = trace.objects[name]
    return [(name, first, last) for first, last in runs if np.linalg.norm(path[first : last + 1] - path[first], axis=1).max() > CARRIED_M]


def _hold(trace: Trace, name: str, first: int, last: int, after: int) -> Hold:
    steps, hand, thing = len(trace), trace.hand_pos, trace.objects[name]
    closing = _start_of_run(trace.meant_closing | (trace.slipping & trace.closing), first, after)
    near = _last_far(hand[after:closing], hand[closing]) + after
    tries = np.flatnonzero(trace.meant_closing[after:near] & ~trace.slipping[after:near])
    begin = after + int(tries[-1]) + 1 if len(tries) else after
    slip = np.flatnonzero(trace.slipping[begin:near])
    straight = {"way"} if len(slip) else set()
    if last >= steps - AT_END and (trace.meant_closing[-1] or trace.closing[-1]):  # an episode may end as soon as the object was let go
        opening = end = steps
    else:
        opening = _start_of_run(~trace.closing, min(last + 1, steps - 1), first) if not trace.closing[min(last + 1, steps - 1)] else last + 1
        gone = np.flatnonzero(np.linalg.norm(hand[opening:] - hand[opening], axis=1) > NEAR_M)
        end = opening + (int(gone[0]) + 1 if len(gone) else steps - opening)
    moved = np.flatnonzero(np.linalg.norm(hand[first:opening] - hand[first], axis=1) > LEAVE_M)
    left = first + int(moved[0]) if len(moved) else opening
    goal = opening if opening == steps else max(left, first + _last_far(thing[first:opening], thing[opening]))
    if np.any(trace.slipping[left:goal]):
        straight.add("carried")
    return Hold(name, begin, near, closing, first, left, goal, opening, end, frozenset(straight))


def _start_of_run(flags: np.ndarray, at: int, least: int) -> int:
    """The first step of the run of true values that ends at `at`, or just before it; not before `least`."""
    while at > least and flags[at - 1]:
        at -= 1
    return at


def _last_far(path: np.ndarray, place: np.ndarray) -> int:
    """The step after the last one that is `NEAR_M` and more from `place`; 0 if none is."""
    far = np.flatnonzero(np.linalg.norm(path - place, axis=1) >= NEAR_M)
    return int(far[-1]) + 1 if len(far) else 0


def on_the_way(trace: Trace, first: int, stop: int, straight: bool) -> np.ndarray:
    """The steps of [first, stop) that are worth repeating: without pauses and slips; `straight`: nothing after the first slip."""
    steps = np.arange(first, stop)
    slipping = trace.slipping[first:stop]
    if straight and slipping.any():
        steps = steps[: int(np.argmax(slipping))]
    return steps[~trace.slipping[steps] & ~trace.still[steps]]


def to_the_end(trace: Trace, path: np.ndarray, first: int, stop: int) -> np.ndarray:
    """The steps of [first, stop) that came nearer than any later one to where hand and `path` (t, 3) were at `stop`, last of all: no tries, waits and slips."""
    steps = np.arange(first, stop)
    last = min(stop, len(path) - 1)
    turns = np.arccos(np.clip((np.einsum("kij,ij->k", trace.hand_rot[steps], trace.hand_rot[last]) - 1) / 2, -1, 1))
    away = np.linalg.norm(path[steps] - path[last], axis=1) + TURN_AS_M * turns
    later = np.maximum.accumulate(np.append(away[1:], 0.0)[::-1])[::-1]
    return steps[(away > later) & ~trace.slipping[steps]]
