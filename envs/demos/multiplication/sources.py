"""The demonstrations that new ones are made of: their holds, and what each hold's end is about. Numpy only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from envs.demos.multiplication.planar import between, least_turn
from envs.demos.multiplication.segments import Hold
from envs.demos.multiplication.trace import Trace

BESIDE_M = 0.25  # one demonstration alone does not tell what an object was put down relative to: the nearest other within this
CLEARLY, SLACK_M = 0.8, 0.002  # a less simple frame must explain the places at least so much better


@dataclass(frozen=True)
class Frame:
    """What places are told relative to: the world (`about` None), or another object's place, or (`turns`) its place and heading."""

    about: str | None = None
    turns: bool = False

    def __str__(self) -> str:
        return "a fixed place" if self.about is None else f"{self.about}, turning with it" if self.turns else self.about


@dataclass(frozen=True)
class Source:
    """One demonstration, taken apart. `number`: its place among those that were given."""

    number: int
    trace: Trace
    holds: tuple[Hold, ...]

    @property
    def kind(self) -> tuple[tuple[str, bool], ...]:
        """What was taken in which order, and whether it was let go."""
        return tuple((hold.name, hold.is_let_go) for hold in self.holds)


def alike(sources: Sequence[Source]) -> list[Source]:
    """Those of the commonest kind, of which segments can stand for each other. Demonstrations in which nothing was carried are of none."""
    kinds = Counter(source.kind for source in sources if source.holds)
    return [source for source in sources if source.holds and source.kind == kinds.most_common(1)[0][0]] if kinds else []


def frames_of(sources: Sequence[Source], symmetry: Mapping[str, int]) -> list[Frame]:
    """For each hold of alike sources the simplest frame in which the places where the object was let go are nearly the same in all."""
    return [_frame(sources, i, symmetry) if hold.is_let_go else Frame() for i, hold in enumerate(sources[0].holds)]


def _frame(sources: Sequence[Source], index: int, symmetry: Mapping[str, int]) -> Frame:
    ends = [(source.trace, source.holds[index]) for source in sources]
    name = ends[0][1].name
    others = [other for other in ends[0][0].objects if other != name]
    if len(ends) == 1:
        trace, hold = ends[0]
        gaps = {other: float(np.linalg.norm((trace.objects[other] - trace.objects[name])[hold.opening, :2])) for other in others}
        nearest = min(gaps, key=gaps.__getitem__, default=None)
        return Frame(nearest) if nearest is not None and gaps[nearest] < BESIDE_M else Frame()
    frames = [Frame(), *(Frame(other, turns) for turns in (False, True) for other in others)]
    best, spread = frames[0], _spread(ends, name, frames[0], symmetry)
    for frame in frames[1:]:
        found = _spread(ends, name, frame, symmetry)
        if found < CLEARLY * spread - SLACK_M:
            best, spread = frame, found
    return best


def _spread(ends: Sequence[tuple[Trace, Hold]], name: str, frame: Frame, symmetry: Mapping[str, int]) -> float:
    """How far apart the places of letting go are in a frame (m, root mean square from their middle, in the plane)."""
    trace, hold = ends[0]
    places = []
    for other, end in ends:
        place = other.objects[name][end.opening]
        if frame.about is not None:
            there, here = other.objects[frame.about][end.opening], trace.objects[frame.about][hold.opening]
            angle = trace.headings[frame.about][hold.opening] - other.headings[frame.about][end.opening]
            place = between(there, here, least_turn(angle, symmetry[frame.about]) if frame.turns else 0.0).points(place)
        places.append(place[:2])
    return float(np.sqrt(np.square(np.array(places) - np.mean(places, axis=0)).sum(1).mean()))
