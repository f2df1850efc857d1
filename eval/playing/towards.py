"""An inverse model at work: what should change is read from pictures of what should be, in place of a planner (docs/planner.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from eval.goals.desire import Desire
from eval.goals.film import Film
from eval.goals.goal_pictures import FILMED, read_pictures
from eval.playing.policies import Learned


class Towards(Learned):
    """`goal=picture`: what should be is how the scripted expert leaves things, from the same start. `goal=video`: how things were in its episode, `ahead`
    control steps after the moment of it that the present is at (eval.goals.film). Otherwise a folder of pictures.

    The expert plays in `env` when an episode begins, and then the start is restored: a start is a function of seed and episode alone.
    """

    def __init__(self, agent: Any, env: Any, goal: str, expert: str | None = None, wish: Any = None) -> None:
        super().__init__(agent, wish)
        self.env, self.goal, self.expert = env, goal, expert
        if goal not in FILMED:
            agent.goal = read_pictures(goal, env.cameras, env.size)

    def reset(self, seed: int, episode: int) -> None:
        super().reset(seed, episode)
        if self.goal not in FILMED:
            return
        self.film, self.steps = self._filmed(seed, episode), 0  # taken since the last query
        if self.goal == "picture":
            self.agent.goal = self.film.pictures(self.film.last)

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        if self.goal == "video":
            self.agent.goal = self.film.pictures(self.film.follow(obs["proprio"], self.steps) + self.agent.config.ahead)
        actions = super().act(obs, info)  # (k, a)
        self.steps = len(actions)
        return actions

    def wanted(self) -> Desire | None:
        """The goal, and the change to it as the decoder draws it."""
        if self.agent.asked is None:
            return None
        drawn = super().wanted()
        pictures = (("goal", self.agent.goal), *(() if drawn is None else (("drawn", drawn.pictures[0][1]),)))
        return Desire(pictures, self.agent.config.ahead if self.goal == "video" else None)

    def _filmed(self, seed: int, episode: int) -> Film:
        """The expert's episode, its start included."""
        from envs.experts import expert_class

        start = {"seed": seed, "options": {"episode": episode}}
        _, info = self.env.reset(**start)
        expert = expert_class(self.env.task, self.expert)()
        expert.reset()
        film = Film(self.agent.normalisation["proprio"].scale, self.env.frames_of, self.agent.config.ahead)
        ended = False
        film.add(self.env.moment(), self.env.proprio())
        while not ended:
            terminated, truncated, info = self.env.advance(np.clip(expert.act(info), -1, 1).astype(np.float32))
            film.add(self.env.moment(), self.env.proprio())
            ended = terminated or truncated
        self.env.reset(**start)
        return film
