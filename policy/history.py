"""What a robot knows of itself since its late pictures were taken, put beside its present proprio. Numpy alone.

| part    | numbers                                                                                                   |
|---------|-----------------------------------------------------------------------------------------------------------|
| proprio | s: proprio at the moment of the pictures                                                                  |
| moved   | s: present proprio minus that one                                                                         |
| actions | (latency + action_latency) · a: the actions whose effect the pictures do not show, oldest first           |

Before an episode begins, the first proprio stands in, and actions are zero.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from policy.late import check_pace

if TYPE_CHECKING:
    from policy.config import PolicyConfig


def beside(
    history: Sequence[str], now: Float[np.ndarray, "*t s"], then: Float[np.ndarray, "*t s"], actions: Float[np.ndarray, "*t n a"]
) -> Float[np.ndarray, "*t own"]:
    """The present proprio and, beside it, the parts of `history`: `then` is that of the pictures' moment, `actions` are those since."""
    found = {"proprio": then, "moved": now - then, "actions": actions.reshape(*actions.shape[:-2], -1)}
    return np.concatenate([now, *(found[part] for part in history)], axis=-1).astype(np.float32)


def names(config: PolicyConfig, proprio: Sequence[str], actions: Sequence[str]) -> list[str]:
    """A text for each number that a policy is given of the robot itself, from those for its present proprio and for an action."""
    steps = config.latency + config.action_latency
    then = f"{config.latency} control steps ago, when the newest picture was taken"
    found = {
        "proprio": [f"{text}, {then}" for text in proprio],
        "moved": [f"{text}: now minus {then}" for text in proprio],
        "actions": [f"action given {steps - step} control steps ago, 0 before the first: {text}" for step in range(steps) for text in actions],
    }
    return [*proprio, *(text for part in config.history for text in found[part])]


class OwnHistory:
    """What one agent keeps of one episode. Raises BadInput for a pace that does not fit (`check_pace`)."""

    def __init__(self, config: PolicyConfig, execute: int) -> None:
        check_pace(config.history, config.latency, execute)
        self.config = config
        self._seen: deque[np.ndarray] = deque(maxlen=config.latency // execute + 1)  # proprio at the last queries
        self._given: deque[np.ndarray] = deque(maxlen=config.latency + config.action_latency)
        self.restart()

    def restart(self) -> None:
        self._seen.clear()
        self._given.extend(np.zeros((self._given.maxlen or 0, self.config.action_dim), np.float32))

    def beside(self, proprio: Float[np.ndarray, " s"]) -> Float[np.ndarray, " own"]:
        """What the policy is given for a query with this present proprio."""
        if not self.config.history:
            return proprio
        seen = deque([*self._seen, proprio], maxlen=self._seen.maxlen)
        actions = np.array(self._given, np.float32).reshape(len(self._given), self.config.action_dim)
        return beside(self.config.history, proprio, seen[0], actions)

    def add(self, proprio: Float[np.ndarray, " s"], actions: Float[np.ndarray, "k a"]) -> None:
        """A query is over: what proprio was, and the actions that were given."""
        self._seen.append(proprio)
        self._given.extend(actions)
