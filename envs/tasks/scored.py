"""What all tasks of this package are: robosuite environments with a start, a course, a success and a position error of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from robosuite.environments.manipulation.manipulation_env import ManipulationEnv

from envs.motion import Motion
from envs.tasks.motion import Scale
from envs.tasks.moving import Moved, Moving

EQUAL = {"which": "that moves", "was_moved": "that was moved"}  # motions of one among equal things, and how the instruction names it


def has_equals(motion: Motion | None) -> bool:
    """Whether the target is one of several equal things."""
    return motion is not None and motion.kind in EQUAL


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
    equal_instruction = ""  # with a place for what tells one of equal things from the others
    scale: Scale  # of what moves by itself

    def __init__(self, robots: str | Sequence[str], motion: Motion | None = None, **options: Any) -> None:
        self.moving = Moving(motion, self.scale) if motion else None
        if self.moving is not None:
            self._pre_action = self._pre_action_and_move  # of this one alone: where nothing moves, it is robosuite's own (envs.control.laws)
        self.has_equals = has_equals(motion)
        if motion is not None and self.has_equals:
            self.instruction = self.equal_instruction.format(EQUAL[motion.kind])
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
            self._start = self._sample_start()
            self.set_start(self._start)

    def _sample_start(self) -> dict[str, np.ndarray]:
        """A start, and the course of what moves: one that has no room for it is drawn again."""
        while True:
            start = self.sample_start(self.rng)
            if self.moving is None or self.moving.draw(self.rng, lambda offset: self.is_free(self.displaced(start, offset))):  # noqa: B023
                return start

    def reset(self) -> Any:
        observation = super().reset()
        self.begin()
        return observation

    # ---- what moves by itself

    def is_free(self, start: dict[str, np.ndarray]) -> bool:
        """Whether things may be there: in the region, beside each other, and not where they are to be put."""
        raise NotImplementedError

    def displaced(self, start: dict[str, np.ndarray], offset: np.ndarray) -> dict[str, np.ndarray]:
        """The start with what moves displaced by (2,) m."""
        raise NotImplementedError

    def moved(self) -> Moved:
        """What moves."""
        raise NotImplementedError

    def robot_touches(self) -> bool:
        """Whether the robot touches what moves."""
        raise NotImplementedError

    def robot_distance_m(self) -> float:
        """How near the robot is to the target."""
        raise NotImplementedError

    def _pre_action_and_move(self, action: np.ndarray, policy_step: bool = False) -> None:
        """What robosuite's own step calls in each substep."""
        super()._pre_action(action, policy_step)
        if self.moving is not None:
            self.moving()

    # ---- an episode's course

    def full_action(self, action: np.ndarray) -> np.ndarray:
        """The action as robosuite takes it."""
        return action

    def begin(self) -> None:
        """Clears what is remembered of an episode; called when the state was set anew."""
        if self.moving is not None:
            self.moving.begin(self, self.moved())

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
        """For experts and metrics only. Of what moves by itself: the target's velocity, and of one among equal things whether that has shown by now."""
        if self.moving is None:
            return {}
        told = {"is_told": np.array(float(self.moving.is_told()))} if self.has_equals else {}
        return {"target_velocity_world": self.moving.velocity()} | told
