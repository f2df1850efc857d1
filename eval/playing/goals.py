"""An inverse model at work: what should change is read from pictures of what should be, in place of a planner (docs/planner.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.playing.goal_pictures import FILMED, read_pictures
from eval.playing.policies import Learned


class Towards(Learned):
    """`goal=picture`: what should be is how the scripted expert leaves things, from the same start. `goal=video`: how things were in its episode
    `ahead` control steps later than now. Otherwise a folder of pictures.

    The expert plays in `env` when an episode begins, and then the start is restored: a start is a function of seed and episode alone.
    """

    def __init__(self, agent: Any, env: Any, goal: str, expert: str | None = None) -> None:
        super().__init__(agent)
        self.env, self.goal, self.expert = env, goal, expert
        self.given = None if goal in FILMED else read_pictures(goal, env.cameras, env.size)

    def reset(self, seed: int, episode: int) -> None:
        super().reset(seed, episode)
        self.steps = 0
        self.film = self._filmed(seed, episode) if self.given is None else {0: self.given}
        self.last = max(self.film)

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        ahead = self.last if self.goal != "video" else min(self.steps + self.agent.config.ahead, self.last)
        self.agent.goal = self.film[ahead]
        actions = super().act(obs, info)  # (k, a)
        self.steps += len(actions)
        return actions

    def _filmed(self, seed: int, episode: int) -> dict[int, NDArray[np.uint8]]:
        """What the cameras saw (c, h, w, 3) after so many steps of the expert's episode: those that will be asked for."""
        from envs.experts import expert_class

        start = {"seed": seed, "options": {"episode": episode}}
        _, info = self.env.reset(**start)
        expert = expert_class(self.env.task, self.expert)()
        expert.reset()
        film, steps, ended = {}, 0, False
        while not ended:
            terminated, truncated, info = self.env.advance(np.clip(expert.act(info), -1, 1).astype(np.float32))
            steps, ended = steps + 1, terminated or truncated
            if ended or (self.goal == "video" and not (steps - self.agent.config.ahead) % self.agent.execute):
                film[steps] = self.env.camera_frames()
        self.env.reset(**start)
        return film
