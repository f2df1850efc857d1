"""A film that waits for the robot: where it is for which states."""

from __future__ import annotations

import numpy as np
import pytest

from eval.goals.film import BACK, Film

AHEAD, STEP = 8, 0.25  # deviations that a state is from the one before it


def film(heights: list[float], widths: list[float] | None = None) -> Film:
    """Of a hand's height and how wide it is open, in numbers of twice and half the unit that they are compared in."""
    made = Film(np.array([2.0, 0.5]), lambda moment: np.full((1, 2, 2, 3), moment[0], np.uint8), AHEAD)
    for moment, (height, width) in enumerate(zip(heights, widths or [0.0] * len(heights), strict=True)):
        made.add(np.array([moment], float), state(height, width))
    return made


def state(height: float, width: float = 0.0) -> np.ndarray:
    return np.array([2 * height, 0.5 * width], np.float32)


DOWN = [STEP * (20 - step) for step in range(21)]
DOWN_UP = [*DOWN, *DOWN[-2::-1]]
OPEN_CLOSED = [0.0] * 21 + [2.0] * 20


@pytest.mark.parametrize(("pace", "late"), [(2.0, 0), (1.5, 1), (1.0, 1), (0.5, 2)])
def test_it_goes_as_fast_as_the_robot(pace: float, late: int) -> None:
    """Late: steps by which it is before a robot that does not keep up, at most."""
    shown = film(DOWN)
    for query in range(10):
        there = pace * query
        assert 0 <= shown.follow(state(STEP * (20 - there)), 2 if query else 0) - there + 0.5 <= late + 1


def test_it_waits_for_one_that_stands_still() -> None:
    shown = film(DOWN)
    assert [shown.follow(state(DOWN[5]), 2) for _ in range(30)][-1] <= 7
    assert shown.follow(state(DOWN[9]), 2) >= 9, "and goes on"


def test_the_way_up_is_not_the_way_down() -> None:
    shown = film(DOWN_UP, OPEN_CLOSED)
    found = [shown.follow(state(height, width), 2 if i else 0) for i, (height, width) in enumerate(zip(DOWN_UP[::2], OPEN_CLOSED[::2], strict=True))]
    assert found == list(range(0, 41, 2))
    early = film(DOWN_UP, OPEN_CLOSED)
    early.at = early.furthest = 6
    assert early.follow(state(DOWN_UP[8], 2.0), 2) <= 6 + 2 * AHEAD, "a hand that closes high above does not end it"


def test_it_never_goes_far_back() -> None:
    shown = film(DOWN)
    shown.at = shown.furthest = 12
    assert [shown.follow(state(DOWN[0]), 2) for _ in range(10)] == [12 - BACK] * 10


def test_where_nothing_changes_it_runs_by_the_clock() -> None:
    """Fingers that close take time in which proprio hardly changes."""
    shown = film([0.0] * 30)
    assert [shown.follow(state(0.0), 2) for _ in range(20)] == [min(2 * (i + 1), 29) for i in range(20)]
    assert shown.pictures(12)[0, 0, 0, 0] == 12 and shown.pictures(99)[0, 0, 0, 0] == 29
