"""A user's module: gymnasium environments that are nobody's but theirs, and an expert."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.experts.noisy import NoisyExpert


class Reach(gymnasium.Env):
    """A white square on a black metre, to be moved onto the red one."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    instruction = "reach the red square"
    default_horizon = 25

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.action_space = spaces.Box(-0.1, 0.1, (2,), np.float32)
        self.observation_space = spaces.Dict({"top": spaces.Box(0, 255, (48, 64, 3), np.uint8), "place": spaces.Box(0, 1, (2,), np.float32)})

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.target = self.np_random.uniform(0.1, 0.9, (2, 2))
        return self.seen(), self.told()

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.place = np.clip(self.place + action, 0, 1)
        return self.seen(), 0.0, False, False, self.told()

    def position_error_cm(self) -> float:
        return 100 * float(np.linalg.norm(self.place - self.target))

    def seen(self) -> dict[str, Any]:
        picture = np.zeros((48, 64, 3), np.uint8)
        for (x, y), colour in ((self.target, (255, 0, 0)), (self.place, (255, 255, 255))):
            picture[int(40 * y) : int(40 * y) + 8, int(56 * x) : int(56 * x) + 8] = colour
        return {"top": picture, "place": self.place.astype(np.float32)}

    def told(self) -> dict[str, Any]:
        return {"is_success": self.position_error_cm() < 5, "target": self.target.copy(), "note": "words are no state"}

    def render(self) -> np.ndarray:
        return np.asarray(self.seen()["top"])


class ReachExpert(NoisyExpert):
    noisy = 2

    def act(self, info: dict[str, Any]) -> np.ndarray:
        return np.clip((info["privileged/target"] - info["privileged/place"]) / 0.1, -1, 1)


class Walk(gymnasium.Env):
    """One of three ways; three steps to the right are worth three. It shows numbers, and what can be rendered. Falls over the edge on the left."""

    metadata = {"render_modes": ["rgb_array"]}
    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = spaces.Discrete(3, start=-1)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = 0
        return np.zeros(1), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place += action
        return np.array([float(self.place)]), float(action), self.place < 0, False, {}

    def render(self) -> np.ndarray:
        return np.full((20, 20, 3), 50 + 20 * self.place, np.uint8)


class Busy(Reach):
    """As Reach, with a depth map, a mask, a scan, a word and more beside the picture."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        more = {
            "depth": spaces.Box(0, 5, (64, 64, 1), np.float32),
            "mask": spaces.Box(0, 255, (64, 64, 4), np.uint8),
            "scan": spaces.Box(0, 1, (360,), np.float32),
            "matrix": spaces.Box(-1, 1, (3, 4), np.float32),
            "mode": spaces.Tuple((spaces.Discrete(3), spaces.MultiBinary(2))),
            "points": spaces.Box(-np.inf, np.inf, (500, 3), np.float32),
            "first": spaces.Box(0, 255, (3, 32, 40), np.uint8),
            "bright": spaces.Box(0, 1, (32, 40, 3), np.float32),
            "mission": spaces.Text(20),
        }
        self.observation_space = spaces.Dict({**self.observation_space.spaces, **more})  # type: ignore[attr-defined]

    def seen(self) -> dict[str, Any]:
        half = np.zeros((64, 64), np.float32)
        half[:, 32:] = 1
        mask = np.zeros((64, 64, 4), np.uint8)
        mask[..., 0], mask[..., 3] = 200, 255 * half
        parts = {"depth": 5 * half[..., None], "mask": mask, "scan": np.full(360, 0.5, np.float32), "matrix": np.eye(3, 4, dtype=np.float32)}
        parts |= {"mode": (2, np.array([0, 1], np.int8)), "points": np.ones((500, 3), np.float32), "mission": "go"}
        parts |= {"first": np.full((3, 32, 40), 7, np.uint8), "bright": np.full((32, 40, 3), 0.2, np.float32)}
        return {**super().seen(), **parts}


class Chosen(Busy):
    policy_cameras = ("top", "depth", "mask")
    policy_proprio = ("scan",)


class Dark(Walk):
    """Shows nothing at all."""

    metadata = {"render_modes": []}


class Endless(Reach):
    """An action space without bounds."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.action_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)


gymnasium.register("Own/Reach-v0", entry_point="tests.envs.foreign.own_gymnasium:Reach", max_episode_steps=30)
gymnasium.register("Own/Walk-v0", entry_point="tests.envs.foreign.own_gymnasium:Walk", max_episode_steps=4, reward_threshold=3.0)
gymnasium.register("Own/Aimless-v0", entry_point="tests.envs.foreign.own_gymnasium:Walk", max_episode_steps=4)
