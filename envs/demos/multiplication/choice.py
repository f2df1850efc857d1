"""Which demonstration a segment is taken of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from envs.demos.multiplication.moment import Moment
from envs.demos.multiplication.planar import heading, least_turn
from envs.demos.multiplication.segments import TURN_AS_M
from envs.demos.multiplication.sources import Frame, Source

SLIPPED_M = 0.05  # a segment with a slip in it is worth a cleaner one that lies so much farther

Choose = Callable[[int, str, Moment, frozenset[int]], Source]  # hold, "approach" or "carry", the present, sources that failed already


def nearest(sources: Sequence[Source], frames: Sequence[Frame], symmetry: dict[str, int]) -> Choose:
    """That in which things lay most like now: the object to be taken, or what it is to be brought to, seen from where it is."""

    def choose(hold: int, part: str, now: Moment, failed: frozenset[int]) -> Source:
        return min(_others(sources, failed), key=lambda source: distance(source, hold, part, frames[hold], symmetry, now))

    return choose


def at_random(sources: Sequence[Source], rng: np.random.Generator) -> Choose:
    """Each as likely."""

    def choose(hold: int, part: str, now: Moment, failed: frozenset[int]) -> Source:
        among = _others(sources, failed)
        return among[int(rng.integers(len(among)))]

    return choose


def distance(source: Source, index: int, part: str, frame: Frame, symmetry: dict[str, int], now: Moment) -> float:
    """How different things lay in a source, in metres."""
    trace, hold = source.trace, source.holds[index]
    position, rotation = now.objects[hold.name]
    if part == "carry" and frame.about is not None:
        there = trace.objects[frame.about][hold.grasped] - trace.objects[hold.name][hold.grasped]
        gap, turn = now.objects[frame.about][0] - position - there, 0.0
        slipped = trace.slipping[hold.left : hold.opening].any()
    else:
        gap = position - trace.objects[hold.name][hold.closing]
        turn = least_turn(heading(rotation) - trace.headings[hold.name][hold.closing], symmetry[hold.name])
        slipped = trace.slipping[hold.near : hold.left].any()
    return float(np.linalg.norm(gap[:2])) + TURN_AS_M * abs(turn) + SLIPPED_M * bool(slipped)


def _others(sources: Sequence[Source], failed: frozenset[int]) -> list[Source]:
    return [source for source in sources if source.number not in failed] or list(sources)
