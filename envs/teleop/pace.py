"""Keeps the control loop at its rate and says how well that went."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """Of the counted ticks of an episode: achieved rate, ticks that took longer than their period, the longest one."""

    hz: float
    ticks: int
    late: int
    longest_ms: float

    def __str__(self) -> str:
        return f"{self.hz:.1f} Hz, {self.late} of {self.ticks} ticks late, the longest {self.longest_ms:.0f} ms"


class Pace:
    """Ticks `hz` times a second; a tick that took too long moves the following ones, so that none is hurried."""

    def __init__(self, hz: float, clock: Callable[[], float] = time.perf_counter, sleep: Callable[[float], None] = time.sleep) -> None:
        self.period, self._clock, self._sleep = 1.0 / hz, clock, sleep
        self._began = clock()
        self.restart()

    def restart(self) -> None:
        """Forgets the ticks counted so far: a new episode."""
        self._spans: list[float] = []

    def time_left(self) -> float:
        """Seconds until the next tick is due; negative if that is past."""
        return self._began + self.period - self._clock()

    def wait(self, counted: bool) -> None:
        """Sleeps until the next tick is due. `counted`: the one that ends here was a control step."""
        while (left := self.time_left()) > 0:
            self._sleep(left)
        now = self._clock()
        if counted:
            self._spans.append(now - self._began)
        # A little late is caught up in the next tick, so that the mean rate is kept; more than that is not.
        self._began = self._began + self.period if now - self._began < 1.2 * self.period else now

    def rate(self) -> Rate:
        total = sum(self._spans)
        late = sum(span > 1.2 * self.period for span in self._spans)
        return Rate(len(self._spans) / total if total else 0.0, len(self._spans), late, 1000 * max(self._spans, default=0.0))
