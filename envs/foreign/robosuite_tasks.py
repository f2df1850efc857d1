"""Robosuite environments that know nothing of this package, made into tasks of it: robosuite's own and those of other people."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from robosuite.environments.base import MujocoEnv
from robosuite.environments.manipulation.two_arm_env import TwoArmEnv
from robosuite.environments.robot_env import RobotEnv

from envs.foreign.names import ROBOSUITE, imported
from envs.foreign.stock import STOCK, Stock
from whatwhere.errors import BadInput

MODEL_SEED = 0  # what is drawn while the model is built (the size of Lift's cube) is drawn from this, once, so that it is the same in every process
SCENE_CAMERAS = ("agentview", "frontview")
HAND_CAMERA = "eye_in_hand"


class Adopted:
    """What `RobosuiteEnv` asks of a task, for a robosuite environment. What the environment's class defines itself goes before all of this.

    A class may set `version`, `instruction`, `default_horizon`, `default_cameras`, `scene_camera`, `default_robots`, and define
    `position_error_cm()`, `is_relation_correct()`, `privileged()`, `proprio()`, `begin()`.
    """

    version = "0"
    default_robots: Any = "Panda"
    default_horizon = 300
    stock = Stock()
    sim: Any
    rng: Any
    robots: Any
    _observables: Any

    @property
    def instruction(self) -> str:
        """From the name of the class: TwoArmLift → "two arm lift"."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", type(self).__name__).lower()

    # ---- cameras

    @property
    def scene_camera(self) -> str:
        names = self._camera_names()
        return next((name for name in SCENE_CAMERAS if name in names), names[0])

    @property
    def default_cameras(self) -> tuple[str, ...]:
        """The scene's and one in each hand."""
        return (self.scene_camera, *(name for name in self._camera_names() if name.endswith(HAND_CAMERA)))

    def _camera_names(self) -> list[str]:
        model = self.sim.model._model
        return [model.camera(index).name for index in range(model.ncam)]

    # ---- actions

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(str(number) for number in range(len(self.action_spec[0])))  # type: ignore[attr-defined]

    def full_action(self, action: np.ndarray) -> np.ndarray:
        """[-1, 1] → what the controllers take, which mostly is [-1, 1] too."""
        low, high = self.action_spec  # type: ignore[attr-defined]
        return action if (low == -1).all() and (high == 1).all() else low + (action + 1) / 2 * (high - low)

    def after_step(self, action: np.ndarray) -> None:
        """robosuite's own book-keeping of a step: some tasks count there (Wipe)."""
        self._post_action(self.full_action(action))  # type: ignore[attr-defined]

    # ---- what is read of the state

    def is_success(self) -> bool:
        return bool(self._check_success())  # type: ignore[attr-defined]

    def position_error_cm(self) -> float | None:
        return None if self.stock.position_error_cm is None else self.stock.position_error_cm(self)

    def scene_numbers(self) -> list[np.ndarray]:
        """What a start may set besides joint positions (Door moves the door's frame), and what the model was built with: for the hash of the start."""
        model = self.sim.model._model
        return [np.ravel(getattr(model, name)) for name in ("body_pos", "body_quat", "body_mass", "geom_size")]

    def proprio(self) -> np.ndarray:
        """For each arm: gripper position in the arm's base frame (3, m), first two columns of its rotation matrix there (6), finger joints (m or rad)."""
        return np.concatenate([part for robot in self.robots for arm in robot.arms for part in self._arm(robot, arm)])

    def _arm(self, robot: Any, arm: str) -> Iterable[np.ndarray]:
        data, base = self.sim.data, f"{robot.robot_model.naming_prefix}{arm}_center"
        base_pos, base_rot = data.get_site_xpos(base), data.get_site_xmat(base).reshape(3, 3)
        hand_pos, hand_rot = self._hand(robot, arm)
        rotation = base_rot.T @ hand_rot
        yield from (base_rot.T @ (hand_pos - base_pos), rotation[:, 0], rotation[:, 1])
        if robot.has_gripper[arm]:
            yield self._fingers(robot, arm)

    def _hand(self, robot: Any, arm: str) -> tuple[np.ndarray, np.ndarray]:
        site = robot.eef_site_id[arm]
        return self.sim.data.site_xpos[site].copy(), self.sim.data.site_xmat[site].reshape(3, 3).copy()

    def _fingers(self, robot: Any, arm: str) -> np.ndarray:
        return np.array([self.sim.data.qpos[index] for index in robot._ref_gripper_joint_pos_indexes.get(arm) or []])

    def privileged(self) -> dict[str, np.ndarray]:
        """robosuite's observables by their names (cube_pos, robot0_eef_pos, …), and of the first arm what `envs.experts.arm` reads."""
        robot = self.robots[0]
        position, rotation = self._hand(robot, robot.arms[0])
        fingers = self._fingers(robot, robot.arms[0]) if robot.has_gripper[robot.arms[0]] else []
        seen: dict[str, Any] = {}
        for name, observable in self._observables.items():
            if observable.is_enabled() and observable.modality != "image":
                seen[name] = np.array(observable._sensor(seen), np.float64)
        ours = {"gripper_pos_world": position, "gripper_rot_world": rotation}
        if len(fingers) == 2:
            ours["gripper_width_m"] = np.array(fingers[0] - fingers[1])
        return seen | ours


class Draws(np.random.Generator):
    """A generator that chooses among names in their order: robosuite hands it lists made of sets, whose order is another one in each process."""

    def choice(self, a: Any, *arguments: Any, **options: Any) -> Any:
        names = isinstance(a, list) and all(isinstance(name, str) for name in a)
        return super().choice(sorted(a) if names else a, *arguments, **options)


def adopted(task: str) -> Any:
    """The class that makes an environment of a task from elsewhere, `robosuite/NAME` or `module:Class`. Raises BadInput if it is not robosuite's kind."""
    name = task.removeprefix(ROBOSUITE)
    if task.startswith(ROBOSUITE):
        return adopt(_stock_class(name), task, STOCK[name])
    found = imported(task)
    if not (isinstance(found, type) and issubclass(found, RobotEnv)):
        raise BadInput(f"task={task}: is no environment of robosuite (a subclass of ManipulationEnv, …) or gymnasium")
    return adopt(found, task, next((STOCK[parent.__name__] for parent in found.__mro__ if parent.__name__ in STOCK), Stock()))


def _stock_class(name: str) -> type:
    """robosuite's own class of that name. (robosuite's registry would give the user's, if there is one of the same name.)"""
    classes = [RobotEnv]
    for parent in classes:
        classes += parent.__subclasses__()
    return next(one for one in classes if one.__name__ == name and one.__module__.startswith("robosuite."))


def adopt(found: type, task: str, stock: Stock) -> Any:
    """`found` with what it lacks. Raises BadInput if it cannot be run: it has a step of its own, or a constructor that does not pass options on."""
    if found.step is not MujocoEnv.step:  # type: ignore[attr-defined]
        raise BadInput(f"task={task}: {found.__name__} has a step() of its own, which is not called here; put what it does into _pre_action or _post_action")
    if not re.fullmatch(r"\d+", str(getattr(found, "version", "0"))):
        raise BadInput(f'task={task}: {found.__name__}.version is {getattr(found, "version", None)!r}, needs a whole number as text, as in "0"')
    two = issubclass(found, TwoArmEnv)

    class Task(found, Adopted):  # type: ignore[misc, valid-type]
        def __init__(self, **options: Any) -> None:
            robots = getattr(found, "default_robots", ["Panda", "Panda"] if two else Adopted.default_robots)
            options = {"robots": robots, "seed": MODEL_SEED} | options
            try:
                inspect.signature(found).bind(**options)
            except TypeError as error:
                raise BadInput(f"task={task}: {found.__name__} cannot be made ({error}); let its constructor pass **options on to robosuite's") from None
            super().__init__(**options)
            self.rng = Draws(self.rng.bit_generator)  # the same bits as the samplers draw from

    Task.__name__ = Task.__qualname__ = found.__name__
    Task.__doc__ = found.__doc__
    Task.stock = stock
    if not hasattr(found, "default_horizon"):
        Task.default_horizon = stock.horizon
    return Task
