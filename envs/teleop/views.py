"""What is drawn with the time that a tick has left: pictures for the operator, then those that the recording still needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from envs.demos.recording import Recording

if TYPE_CHECKING:
    from envs.base import TaskEnv
    from envs.teleop.pace import Pace

RESERVE_S = 0.004  # left over for what else a tick has to do
NEGLECTED = 4  # a picture for the operator is drawn in every so manyth tick at the latest, late or not
LEARNING_RATE = 0.2  # of the mean cost of a picture


class Views:
    """Draws one camera after the other; a processor without a graphics card draws few of them in a tick, and the control rate comes first."""

    def __init__(self, env: TaskEnv, size: int, pace: Pace) -> None:
        self._env, self._size, self._pace = env, size, pace
        self._order = list(env.cameras)
        self._stale = set(self._order)
        self._cost_s = {"view": 0.0, "frames": 0.0}
        self._ticks_without = 0

    def changed(self) -> None:
        """The scene is no longer what was drawn."""
        self._stale = set(self._order)

    def draw(self, recording: Recording | None) -> dict[str, np.ndarray]:
        """Pictures of the present state by camera, uint8 (size, size, 3), as many as there is time for; then rows of `recording`."""
        pictures = {}
        self._ticks_without += 1
        while self._stale and (self._fits("view") or (not pictures and self._ticks_without >= NEGLECTED)):
            camera = next(name for name in self._order if name in self._stale)
            self._order.append(self._order.pop(self._order.index(camera)))  # the others come first next time
            self._stale.discard(camera)
            began = time.perf_counter()
            pictures[camera] = self._env.draw(camera, self._size, self._size)
            self._learn("view", began)
            self._ticks_without = 0
        while recording is not None and recording.undrawn and self._fits("frames"):
            began = time.perf_counter()
            recording.draw_one()
            self._learn("frames", began)
        return pictures

    def _fits(self, kind: str) -> bool:
        return self._pace.time_left() > self._cost_s[kind] + RESERVE_S

    def _learn(self, kind: str, began: float) -> None:
        spent = time.perf_counter() - began
        known = self._cost_s[kind]
        self._cost_s[kind] = spent if known == 0 else known + LEARNING_RATE * (spent - known)
