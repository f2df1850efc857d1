"""A robosuite environment as a task: physics, control and pictures of this package around its scene, its start and its success."""

from __future__ import annotations

import hashlib
import inspect
import math
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mujoco import MjData

from envs.base import CONTROL_HZ, START_ATTEMPTS, Info, TaskEnv
from envs.catalogue import PERTURBATIONS, TASKS, check_version
from envs.foreign.control import OWN
from envs.foreign.origin import Origin
from envs.foreign.scaled import scaled_to
from envs.language.things import SPLITS, Thing
from envs.looks import Looks
from envs.motion import motion_of
from envs.physics import Physics
from envs.rendering import Renderer, prepare_gl
from envs.rendering.projection import projected
from envs.variety import check_things
from whatwhere.errors import BadInput, choose
from whatwhere.schema import made

PHYSICS_ONLY = {"has_renderer": False, "has_offscreen_renderer": False, "use_camera_obs": False, "hard_reset": False, "renderer": "mujoco", "ignore_done": True}


class RobosuiteEnv(TaskEnv):
    """One environment of a task that is a robosuite environment: one of ours, or one that `envs.foreign` has adopted."""

    def __init__(
        self,
        task: str,
        *,
        horizon: int | None,
        cameras: Sequence[str] | None,
        perturbation: str | None,
        motion: str | None,
        speed: Sequence[float] | None,
        origin: Any,
        version: int = 0,
        split: str | None = None,
        things: str | None = None,
        **options: Any,
    ) -> None:
        """What `envs.make` describes; the defaults are there. Raises BadInput."""
        super().__init__(task, horizon=horizon, **options)
        check_version(task, version, split)
        self.motion = motion_of(task, motion, speed, version)
        check_things(task, things, version, motion)
        taken = made(origin or {}, Origin, f"task={task}: origin")
        prepare_gl()
        from envs.tasks import task_class  # imports robosuite, which loads the back-end that MUJOCO_GL names

        robosuite_class = task_class(task, version, things is not None)
        self.perturbation = _possible(task, robosuite_class, perturbation)
        self.split = (split or SPLITS[0]) if version else None
        more: dict[str, Any] = {"strangers": True} if perturbation == "distractors" else {}
        more |= {"split": self.split} if version else {}
        more |= {"motion": self.motion} if self.motion else {}
        self.control_hz, self._drawn, self._told = taken.control.hz, taken.drawn or (self.size, self.size), taken.instruction
        self.simulation = robosuite_class(control_freq=self.control_hz, **PHYSICS_ONLY, **more, **_taken_over(task, taken))
        self.name, self.task_version = robosuite_class.__name__, str(robosuite_class.version)
        self.horizon = horizon or math.ceil(robosuite_class.default_horizon * self.control_hz / CONTROL_HZ)  # the same seconds
        self._physics = Physics(self.simulation)
        self._model, self._data = self._physics.model, self._physics.data
        self.scene_camera = self.simulation.scene_camera
        there = [self._model.camera(i).name for i in range(self._model.ncam)]
        wanted = self.simulation.default_cameras if cameras is None else cameras
        self._set_up(wanted, there, len(self.simulation.action_names), len(self.simulation.proprio()))
        self._renderer = Renderer(self._model, self.rendering)
        self._close_renderer = weakref.finalize(self, self._renderer.close)
        self._close_renderer.atexit = False  # at the end the renderer closes itself, before mujoco shuts EGL down
        self._looks = Looks(self._model) if perturbation in ("light", "camera") else None
        self._own_colours: np.ndarray | None = None  # where the task has changed them
        self._sketch = MjData(self._model)  # carries earlier positions to the renderer

    @property
    def instruction(self) -> str:
        return self._told or self.simulation.instruction

    # ---- episodes

    def _start(self, words: list[int]) -> str:
        self.simulation.rng.bit_generator.state = np.random.PCG64(np.random.SeedSequence(words)).state  # in place: robosuite's samplers hold a reference to it
        if self._own_colours is not None:
            self._model.geom_rgba[:], self._own_colours = self._own_colours, None
        for _ in range(START_ATTEMPTS):
            self.simulation.reset()
            self._physics.restart()
            self._forget()
            if not self.simulation.is_success():
                break
        else:
            raise RuntimeError(f"{self.task}: no start in {START_ATTEMPTS} that is not a success already")
        self._perturb(words)
        scene = self.simulation.scene_numbers() if hasattr(self.simulation, "scene_numbers") else []  # what a start sets besides joint positions
        start = np.round(np.concatenate([self._data.qpos, *scene]), 9) + 0.0  # + 0.0 makes −0 equal to 0
        return hashlib.sha256(f"{self.task} {self.task_version} ".encode() + start.astype("<f8").tobytes()).hexdigest()[:16]

    def _perturb(self, words: list[int]) -> None:
        """The looks of this episode: a function of its start's words alone."""
        if self._looks is not None:
            rng = np.random.default_rng([PERTURBATIONS.index(str(self.perturbation)), *words])
            if self.perturbation == "light":
                self._looks.relight(rng)
            else:
                self._looks.move_camera(self.scene_camera, rng)

    def _forget(self) -> None:
        """Lets the task start its counters anew from the present state."""
        if hasattr(self.simulation, "begin"):
            self.simulation.begin()

    # ---- steps

    def _act(self, command: np.ndarray) -> str | None:
        if not self._physics.step(self.simulation.full_action(command)):
            return "physics_diverged"
        self.simulation.after_step(command)
        self._keep_looks()
        return None

    def _begin(self) -> None:
        self._colours = self._model.geom_rgba.copy()
        super()._begin()

    def _keep_looks(self) -> None:
        """Where a task has changed its own looks (Wipe does), draws what came before as it was: pictures may be drawn late, but must not look late.

        The next start has the looks of this one's, as if the model were made anew.
        """
        if not np.array_equal(self._model.geom_rgba, self._colours):
            now = self._model.geom_rgba.copy()
            self._own_colours = self._colours if self._own_colours is None else self._own_colours
            self._model.geom_rgba[:] = self._colours
            self._history.draw()
            self._model.geom_rgba[:] = now
            self._colours = now

    def _read(self) -> tuple[Info, np.ndarray]:
        task = self.simulation
        error = task.position_error_cm()
        info: Info = {"success": bool(task.is_success()), "position_error_cm": None if error is None else float(error)}
        if hasattr(task, "is_relation_correct"):
            info["is_relation_correct"] = bool(task.is_relation_correct())
        info |= {f"privileged/{name}": np.asarray(value, np.float64) for name, value in task.privileged().items()}
        return info, task.proprio()

    def _moment(self) -> np.ndarray:
        return self._data.qpos

    # ---- states

    def get_state(self) -> np.ndarray:
        """float64 (1 + nq + nv,): time, qpos, qvel."""
        return self._physics.state()

    def set_state(self, state: np.ndarray) -> Info:
        """Puts the simulation in `state` as if an episode began there: controllers at rest, history and counters cleared. Returns its info.

        What a state does not hold stays as the last `reset` drew it: looks and, in version 1, shapes, colours and the instruction.
        From a state that `reset` made, the same actions lead through the same states. Raises BadInput on another size.
        """
        values = np.asarray(state, np.float64)
        nq, nv = self._model.nq, self._model.nv
        if values.shape != (1 + nq + nv,) or not np.isfinite(values).all():
            raise BadInput(f"state: needs {1 + nq + nv} finite numbers (time, qpos, qvel of {self.task}), found shape {values.shape}")
        self._physics.set_state(values[0], values[1 : 1 + nq], values[1 + nq :])
        self._forget()
        self._begin()
        return dict(self._info)

    @property
    def things(self) -> tuple[Thing, ...]:
        return self.simulation.draw.things if self.split else ()

    def mean(self, order: Sequence[int]) -> tuple[dict[str, Any], Info]:
        self.simulation.mean(order)
        info = self.set_state(self.get_state())
        return self._observation(), info

    def model_xml(self) -> str:
        """The scene as MuJoCo XML, with asset paths that begin at `robosuite/` (robosuite completes them when it loads one)."""
        return self._physics.xml()

    # ---- pictures

    def draw(self, camera: str, height: int, width: int) -> np.ndarray:
        """The present state from any camera, uint8 (height, width, 3)."""
        return self._renderer.draw(self._data, camera, height, width)

    def _draw_all(self, qpos: np.ndarray) -> np.ndarray:
        self._sketch.qpos[:] = qpos
        return scaled_to(self._renderer.views(self._sketch, self.cameras, *self._drawn), self.size)

    def project(self, camera: str, points_world: np.ndarray, height: int, width: int) -> np.ndarray:
        """Where points (n, 3) in metres are in the present picture of `camera`: (n, 2) column, row; nan behind the camera."""
        return projected(self._model, self._data, camera, points_world, height, width)

    def close(self) -> None:
        """Gives up the simulation and the OpenGL context; may be called twice."""
        if self._close_renderer.alive:
            self._close_renderer()
            self.simulation.close()


def _taken_over(task: str, origin: Origin) -> dict[str, Any]:
    """Arguments of the robosuite class. Raises BadInput for robots that robosuite has not, and for a control that is not this task's to change."""
    from robosuite.models.robots.robot_model import REGISTERED_ROBOTS

    options: dict[str, Any] = {"robots": list(origin.robots)} if origin.robots else {}
    for name in origin.robots:
        choose(f"task={task}: origin: robots", name, REGISTERED_ROBOTS)
    if task in TASKS and (options or origin.control != OWN):
        raise BadInput(f"task={task}: origin: has its own control and robot, found {origin.as_json()!r:.120}")
    if replace(origin.control, hz=OWN.hz) != OWN:
        if several := [name for name in origin.robots if len(REGISTERED_ROBOTS[name].arms) > 1]:
            raise BadInput(f"task={task}: origin: control: is of one arm, {several[0]} has more")
        options["controller_configs"] = origin.control.composite()
    return options


def _possible(task: str, robosuite_class: type, perturbation: str | None) -> str | None:
    """`perturbation` itself, if this task can be perturbed so. Raises BadInput."""
    if perturbation is not None:
        choose("perturbation", perturbation, PERTURBATIONS)
    if perturbation == "distractors" and "strangers" not in inspect.signature(robosuite_class.__init__).parameters:
        raise BadInput(f"perturbation=distractors: {task} is none of the table tasks of this package; valid for it: light, camera")
    return perturbation
