"""The rate that is kept and the rate that is told, on a clock of the test's own."""

from __future__ import annotations

import pytest

from envs.teleop.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now, self.slept = 0.0, 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(pace: Pace, clock: Clock, works: list[float]) -> None:
    for work in works:
        clock.now += work
        pace.wait(counted=True)


def test_quick_ticks_are_stretched_to_the_period(clock: Clock) -> None:
    pace = Pace(20, clock, clock.sleep)
    run(pace, clock, [0.01, 0.049, 0.0] * 10)
    rate = pace.rate()
    assert rate.hz == pytest.approx(20) and rate.late == 0 and rate.longest_ms == pytest.approx(50)
    assert clock.now == pytest.approx(30 * 0.05)


def test_a_little_late_is_caught_up(clock: Clock) -> None:
    pace = Pace(20, clock, clock.sleep)
    run(pace, clock, [0.055, 0.01] * 10)
    assert clock.now == pytest.approx(20 * 0.05) and pace.rate().late == 0


def test_long_ticks_are_counted_and_not_made_up_for(clock: Clock) -> None:
    pace = Pace(20, clock, clock.sleep)
    run(pace, clock, [0.01, 0.2, 0.01, 0.01, 0.1])
    rate = pace.rate()
    assert (rate.ticks, rate.late) == (5, 2) and rate.longest_ms == pytest.approx(200)
    assert rate.hz == pytest.approx(5 / 0.45)
    assert "11.1 Hz, 2 of 5 ticks late, the longest 200 ms" in str(rate)


def test_waiting_ticks_do_not_count_and_an_episode_starts_anew(clock: Clock) -> None:
    pace = Pace(20, clock, clock.sleep)
    clock.now += 0.3
    pace.wait(counted=False)
    assert pace.rate().ticks == 0 and pace.rate().hz == 0
    run(pace, clock, [0.3])
    pace.restart()
    run(pace, clock, [0.01, 0.01])
    assert pace.rate().late == 0 and pace.rate().ticks == 2


def test_time_left_is_what_remains_of_the_period(clock: Clock) -> None:
    pace = Pace(20, clock, clock.sleep)
    clock.now += 0.02
    assert pace.time_left() == pytest.approx(0.03)
    clock.now += 0.1
    assert pace.time_left() < 0
