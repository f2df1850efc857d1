"""The pictures that an observation needs, drawn when somebody asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np


class FrameHistory:
    """The joint positions of the last control steps and the pictures of those that were looked at.

    A picture is a function of the joint positions alone, so it can be drawn late: a chunk of actions runs without drawing, and
    the observation after it has the same pixels as if every step had been drawn.
    """

    def __init__(self, draw: Callable[[np.ndarray], np.ndarray], gap: int, latency: int = 0) -> None:
        """`draw` turns qpos (n,) into pictures (c, h, w, 3); `gap`: control steps between the two frames of a pair; `latency`: those by which both are late."""
        self._draw, self._gap, self._latency = draw, gap, latency
        self._states: deque[np.ndarray] = deque(maxlen=gap + latency + 1)
        self._pictures: deque[np.ndarray | None] = deque(maxlen=gap + latency + 1)

    def restart(self, qpos: np.ndarray) -> None:
        self._states.clear()
        self._pictures.clear()
        self.add(qpos)

    def add(self, qpos: np.ndarray) -> None:
        self._states.append(np.array(qpos))
        self._pictures.append(None)

    def draw(self) -> None:
        """Draws at once what has not been drawn yet."""
        for index in range(len(self._states)):
            self._picture(index)

    def newest(self) -> np.ndarray:
        """What the cameras see now, however late it arrives: uint8 (c, h, w, 3), not to be written to."""
        return self._picture(-1)

    def pair(self) -> np.ndarray:
        """The newest frame that has arrived and the one `gap` steps before it; for what was before the first, the first: uint8 (c, 2, h, w, 3)."""
        arrived = len(self._states) - 1 - self._latency
        return np.stack([self._picture(max(arrived - self._gap, 0)), self._picture(max(arrived, 0))], axis=1)

    def _picture(self, index: int) -> np.ndarray:
        picture = self._pictures[index]
        if picture is None:
            picture = self._pictures[index] = self._draw(self._states[index])
        return picture
