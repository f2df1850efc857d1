"""What all tasks of this package are: robosuite environments with a start, a course, a success and a position error of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from robosuite.environments.manipulation.manipulation_env import ManipulationEnv


class ScoredTask(ManipulationEnv):
    """A robosuite environment of which `RobosuiteEnv` reads start, success, position error, proprio and what experts may see.

    Physics only unless robosuite's own rendering arguments ask for more.
    """

    version = "0"
    instruction = ""
    default_horizon = 100
    default_cameras: tuple[str, ...] = ()
    scene_camera = ""
    action_names: tuple[str, ...] = ()

    def __init__(self, robots: str | Sequence[str], **options: Any) -> None:
        quiet = {"has_offscreen_renderer": False, "use_camera_obs": False, "hard_reset": False, "renderer": "mujoco"}
        defaults = {"initialization_noise": "default", "control_freq": 20, "horizon": self.default_horizon, "ignore_done": True}
        super().__init__(robots=robots, **{**defaults, **quiet, **options})

    # ---- an episode's start

    def sample_start(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A start, in the task's own words."""
        raise NotImplementedError

    def set_start(self, start: dict[str, np.ndarray]) -> None:
        """Puts everything there."""
        raise NotImplementedError

    def _reset_internal(self) -> None:
        super()._reset_internal()
        if not self.deterministic_reset:
            self.set_start(self.sample_start(self.rng))

    def reset(self) -> Any:
        observation = super().reset()
        self.begin()
        return observation

    # ---- an episode's course

    def full_action(self, action: np.ndarray) -> np.ndarray:
        """The action as robosuite takes it."""
        return action

    def begin(self) -> None:
        """Clears what is remembered of an episode; called when the state was set anew."""

    def after_step(self, action: np.ndarray) -> None:
        """Takes note of one control step that ended in the present state."""

    def _post_action(self, action: np.ndarray) -> Any:  # only robosuite's own step comes here
        mujoco.mj_step1(self.sim.model._model, self.sim.data._data)
        self.after_step(action)
        return super()._post_action(action)

    def reward(self, action: np.ndarray | None = None) -> float:
        return float(self.is_success())

    def _check_success(self) -> bool:
        return self.is_success()

    # ---- what is read of the state

    def is_success(self) -> bool:
        raise NotImplementedError

    def position_error_cm(self) -> float:
        raise NotImplementedError

    def proprio(self) -> np.ndarray:
        """(s,): what a policy may know of the robot's own state; nothing that names an object or a place in the world."""
        raise NotImplementedError

    def privileged(self) -> dict[str, np.ndarray]:
        """For experts and metrics only."""
        raise NotImplementedError
