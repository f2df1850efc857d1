"""From a policy's numbers in [-1, 1] to what a gymnasium environment takes as an action."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from whatwhere.errors import BadInput


class Commands:
    """Box with bounds: each number over its range. Discrete(n): n numbers, the greatest one counts. `dim` is how many numbers a policy gives."""

    def __init__(self, task: str, space: gymnasium.Space) -> None:
        """Raises BadInput for another kind of space, and for bounds that are not finite."""
        self.space = space
        if isinstance(space, gymnasium.spaces.Discrete):
            self.dim = int(space.n)
        elif isinstance(space, gymnasium.spaces.Box) and np.isfinite(space.low).all() and np.isfinite(space.high).all():
            self.dim = int(np.prod(space.shape))
        else:
            raise BadInput(f"task={task}: action space {space} is neither Discrete nor a Box with finite bounds; wrap it (gymnasium.wrappers.RescaleAction …)")

    def of(self, command: np.ndarray) -> Any:
        """The environment's action for `command` (dim,) in [-1, 1]."""
        if isinstance(self.space, gymnasium.spaces.Discrete):
            return int(self.space.start) + int(np.argmax(command))
        assert isinstance(self.space, gymnasium.spaces.Box)
        low, high = self.space.low.astype(np.float64), self.space.high.astype(np.float64)
        return (low + (command.reshape(self.space.shape) + 1) / 2 * (high - low)).astype(self.space.dtype)
