"""An episode that waits: how things were after each of its steps, and which of these moments the present is at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

BACK = 2  # steps that a film may go back behind the furthest moment it was at: a hand that slips is not to undo what was done
PACE = 3.0  # squared deviations of proprio that a moment must be nearer by, to be `ahead` steps away from where the clock would be


@dataclass
class Film:
    """Moments 0 … n of one episode.

    scale: the deviation of each number of proprio, in which states are compared; draw: gives the pictures (c, h, w, 3) of a moment; ahead: steps after the
    present one that are asked for; it goes on by at most twice as many at a query.
    """

    scale: Float[np.ndarray, " s"]
    draw: Callable[[NDArray[np.float64]], NDArray[np.uint8]]
    ahead: int
    moments: list[NDArray[np.float64]] = field(default_factory=list)
    states: list[NDArray[np.float32]] = field(default_factory=list)
    at: int = 0  # where it was, when it was last asked
    furthest: int = 0

    def add(self, moment: NDArray[np.float64], proprio: Float[np.ndarray, " s"]) -> None:
        self.moments.append(moment)
        self.states.append(proprio / self.scale)

    @property
    def last(self) -> int:
        return len(self.moments) - 1

    def follow(self, proprio: Float[np.ndarray, " s"], steps: int) -> int:
        """Where the film is for a robot in this state, `steps` control steps after the last query.

        A robot is in many places twice, on its way down and up again, and stands still while its fingers close: so a film is not looked through anew, but goes
        on from where it was, as fast as the clock where states say nothing else, and never far back.
        """
        expected = min(self.at + steps, self.last)
        moments = np.arange(max(self.furthest - BACK, 0), min(self.at + 2 * self.ahead, self.last) + 1)
        apart = np.square(np.stack([self.states[moment] for moment in moments]) - proprio / self.scale).sum(axis=1)
        self.at = int(moments[(apart + PACE * np.square((moments - expected) / self.ahead)).argmin()])
        self.furthest = max(self.furthest, self.at)
        return self.at

    def pictures(self, step: int) -> NDArray[np.uint8]:
        """What the cameras saw after so many steps, or at the end: (c, h, w, 3)."""
        return self.draw(self.moments[min(step, self.last)])
