"""`queries=batched`, in a worker: a policy whose answers come from another process (eval.playing.batched). Imports no torch."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import numpy as np

from eval.playing.rollout_policy import RolloutPolicy
from whatwhere.errors import BadInput

SEEN = ("frames", "proprio", "instruction")  # what a learned policy is given of an observation
GONE_S = 60.0  # the parent sees the death of the policy's process, and ends this one, long before that


class Asking(RolloutPolicy):
    """The policy at the other end of `link`. Raises BadInput where that refuses an observation."""

    def __init__(self, link: Connection) -> None:
        self.link = link
        self._computed: dict[str, str] = self._answer()  # it greets when it is ready

    def reset(self, seed: int, episode: int) -> None:
        self._send("reset", seed, episode)

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        self._send("act", {name: obs[name] for name in SEEN if name in obs})
        actions, self._fallen = self._answer()
        return actions  # (k, a)

    def attention(self) -> Any:
        return self._asked("attention")

    def word_attention(self) -> Any:
        return self._asked("word_attention")

    def fallen(self) -> Any:
        return self._fallen

    def shares(self) -> dict[str, float] | None:
        return self._asked("shares")

    def influence(self) -> dict[str, float] | None:
        return self._asked("influence")

    def computed(self) -> dict[str, str]:
        return dict(self._computed)

    def _asked(self, name: str) -> Any:
        self._send(name)
        return self._answer()

    def _send(self, *values: Any) -> None:
        try:
            self.link.send(values)
        except OSError:
            self._leave()

    def _answer(self) -> Any:
        try:
            kind, value = self.link.recv()
        except (EOFError, OSError):
            self._leave()
        if kind == "refused":
            raise BadInput(value)
        return value

    def _leave(self) -> NoReturn:
        """The policy is gone. Its death is what the run ends with, and not that of this worker, which comes of it."""
        time.sleep(GONE_S)
        raise SystemExit(1)
