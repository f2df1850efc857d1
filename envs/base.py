"""A task under the gymnasium contract: seeds, observations, control steps, and failures that end an episode and not the run."""

from __future__ import annotations

import atexit
import hashlib
import string
import weakref
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from mujoco import MjData

from envs import task_class
from envs.frames import FrameHistory
from envs.physics import Physics
from envs.rendering import Renderer, prepare_gl
from whatwhere.errors import BadInput, choose, positive

CONTROL_HZ = 20
SCENE_SIZE = (480, 640)  # height and width of `render()`
LARGEST_PICTURE = 480
START_ATTEMPTS = 1000
PROPRIO_BOUND = 2.0
PHYSICS_ONLY = {"has_renderer": False, "has_offscreen_renderer": False, "use_camera_obs": False, "hard_reset": False, "renderer": "mujoco", "ignore_done": True}

Info = dict[str, Any]
OnStep = Callable[["TaskEnv", np.ndarray, Info], None]


class TaskEnv(gymnasium.Env):
    """One environment of one task.

    Observation: `frames` uint8 (cameras, 2, size, size, 3): the frame `frame_gap` control steps ago (the reset's, if there were
    fewer) and the present one; `proprio` float32 (s,); `instruction`. Action: float (a,) in [−1, 1], clipped to that; one that
    has another shape or is not finite ends the episode as a failure. Reward 1 on success, else 0. Privileged state is in
    `info["privileged/…"]` only.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}

    def __init__(
        self,
        task: str,
        *,
        rendering: str = "fast",
        size: int = 96,
        frame_gap: int = 4,
        horizon: int | None = None,
        cameras: Sequence[str] | None = None,
        render_mode: str | None = "rgb_array",
    ) -> None:
        choose("rendering", rendering, ("fast", "exact"))
        for name, value, least in (("size", size, 16), ("frame_gap", frame_gap, 1), ("horizon", 1 if horizon is None else horizon, 1)):
            positive(name, value, least)
        if size > LARGEST_PICTURE:
            raise BadInput(f"size={size}: must be at most {LARGEST_PICTURE}")
        prepare_gl()
        robosuite_class = task_class(task)
        self.simulation = robosuite_class(control_freq=CONTROL_HZ, **PHYSICS_ONLY)  # the robosuite environment
        self.task, self.task_version = task, str(robosuite_class.version)
        self.rendering, self.size, self.frame_gap, self.control_hz, self.render_mode = rendering, size, frame_gap, CONTROL_HZ, render_mode
        self.horizon = robosuite_class.default_horizon if horizon is None else horizon
        self.cameras = tuple(robosuite_class.default_cameras if cameras is None else cameras)
        self._physics = Physics(self.simulation)
        self._model, self._data = self._physics.model, self._physics.data
        self.scene_camera: str = robosuite_class.scene_camera
        names = [self._model.camera(i).name for i in range(self._model.ncam)]
        for camera in self.cameras:
            choose("cameras", camera, names)
        self._renderer = Renderer(self._model, rendering)
        self._close_renderer = weakref.finalize(self, self._renderer.close)
        self._close_renderer.atexit = False  # that would be after mujoco has shut EGL down; what is registered last runs first
        atexit.register(self._close_renderer)
        self._sketch = MjData(self._model)  # carries earlier positions to the renderer
        self._history = FrameHistory(self._draw_all, frame_gap)
        self._set_spaces()
        self._seed: int | None = None
        self._episode = -1
        self._steps = 0
        self._over = True
        self._init_hash = ""
        self._info: Info = {}

    def _set_spaces(self) -> None:
        self.action_dim = len(self.simulation.action_names)
        self.action_space = spaces.Box(-1.0, 1.0, (self.action_dim,), np.float32)
        self.observation_space = spaces.Dict(
            {
                "frames": spaces.Box(0, 255, (len(self.cameras), 2, self.size, self.size, 3), np.uint8),
                "proprio": spaces.Box(-PROPRIO_BOUND, PROPRIO_BOUND, np.shape(self.simulation.proprio()), np.float32),
                "instruction": spaces.Text(200, charset=string.printable),
            }
        )

    # ---- episodes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], Info]:
        """Starts episode `options["episode"]` of `seed`; without an episode, 0 of a new seed, or else the one after the last.

        The start is a function of (task, version, seed, episode) alone. Raises BadInput.
        """
        super().reset(seed=seed)
        self._seed, self._episode = self._which(seed, options or {})
        rng = np.random.PCG64(np.random.SeedSequence([zlib.crc32(self.task.encode()), int(self.task_version), self._seed, self._episode]))
        self.simulation.rng.bit_generator.state = rng.state  # in place: robosuite's samplers hold a reference to it
        for _ in range(START_ATTEMPTS):
            self.simulation.reset()
            self._physics.restart()
            self._forget()
            if not self.simulation.is_success():
                break
        else:
            raise RuntimeError(f"{self.task}: no start in {START_ATTEMPTS} that is not a success already")
        start = np.round(self._data.qpos, 9) + 0.0  # + 0.0 makes −0 equal to 0
        self._init_hash = hashlib.sha256(f"{self.task} {self.task_version} ".encode() + start.astype("<f8").tobytes()).hexdigest()[:16]
        self._begin()
        return self._observation(), dict(self._info)

    def _which(self, seed: int | None, options: dict[str, Any]) -> tuple[int, int]:
        for key in options:
            choose("options", key, ("episode",))
        if seed is not None:
            new_seed, episode = int(seed), 0
        elif self._seed is None:
            new_seed, episode = int(self.np_random.integers(2**31)), 0
        else:
            new_seed, episode = self._seed, self._episode + 1
        episode = options.get("episode", episode)
        if isinstance(episode, bool) or not isinstance(episode, int | np.integer) or episode < 0:
            raise BadInput(f"options episode={episode}: needs a whole number, at least 0")
        return new_seed, int(episode)

    def _forget(self) -> None:
        """Lets the task start its counters anew from the present state."""
        if hasattr(self.simulation, "begin"):
            self.simulation.begin()

    def _begin(self) -> None:
        self._steps, self._over, self._failure = 0, False, None
        self._history.restart(self._data.qpos)
        self._look()

    # ---- steps

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, Info]:
        """One control step (1/20 s), and pictures of where it led."""
        terminated, truncated = self._advance(action)
        return self._observation(), float(self._info["success"]), terminated, truncated, dict(self._info)

    def step_chunk(self, actions: np.ndarray, on_step: OnStep | None = None) -> tuple[dict[str, Any], float, bool, bool, Info, int]:
        """The actions (k, a) one after the other, up to the episode's end; the last number is how many were executed.

        States and the observation are the same as from k calls of `step`, but only the frames of that observation are drawn.
        `on_step(env, action, info)` is called after each.
        """
        executed, terminated, truncated = 0, False, False
        for action in np.atleast_1d(np.asarray(actions)):
            terminated, truncated = self._advance(action)
            executed += 1
            if on_step is not None:
                on_step(self, action, dict(self._info))
            if terminated or truncated:
                break
        return self._observation(), float(self._info["success"]), terminated, truncated, dict(self._info), executed

    def advance(self, action: np.ndarray) -> tuple[bool, bool, Info]:
        """One control step without an observation, so without drawing: terminated, truncated, info."""
        return *self._advance(action), dict(self._info)

    def _advance(self, action: Any) -> tuple[bool, bool]:
        if self._over:
            raise ResetNeeded("the episode is over (or none was begun): call reset()")
        command = self._valid(action)
        self._steps += 1
        if command is None:
            self._failure = "bad_action"
        elif not self._physics.step(self.simulation.full_action(command)):
            self._failure = "physics_diverged"
        else:
            self.simulation.after_step(command)
            self._history.add(self._data.qpos)
        self._look()
        terminated = self._failure is not None or self._info["success"]
        truncated = not terminated and self._steps >= self.horizon
        self._over = terminated or truncated
        return terminated, truncated

    def _valid(self, action: Any) -> np.ndarray | None:
        try:
            command = np.asarray(action, np.float64)
        except (TypeError, ValueError):
            return None
        if command.shape != (self.action_dim,) or not np.isfinite(command).all():
            return None
        return np.clip(command, -1.0, 1.0)

    def _look(self) -> None:
        """Reads the state into `info` and proprio; after a failure, what was last read remains, but for the failure itself."""
        if self._failure is not None:
            self._info = {**self._info, "success": False, "failure": self._failure}
            return
        task = self.simulation
        info: Info = {"success": bool(task.is_success()), "position_error_cm": float(task.position_error_cm())}
        if hasattr(task, "is_relation_correct"):
            info["is_relation_correct"] = bool(task.is_relation_correct())
        info |= {"failure": None, "init_hash": self._init_hash}
        info |= {f"privileged/{name}": np.asarray(value, np.float64) for name, value in task.privileged().items()}
        self._info = info
        self._proprio = np.clip(np.asarray(task.proprio(), np.float32), -PROPRIO_BOUND, PROPRIO_BOUND)

    def _observation(self) -> dict[str, Any]:
        return {"frames": self._history.pair(), "proprio": self._proprio.copy(), "instruction": self.simulation.instruction}

    # ---- states

    def get_state(self) -> np.ndarray:
        """float64 (1 + nq + nv,): time, qpos, qvel."""
        return self._physics.state()

    def set_state(self, state: np.ndarray) -> Info:
        """Puts the simulation in `state` as if an episode began there: controllers at rest, history and counters cleared. Returns its info.

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

    def model_xml(self) -> str:
        """The scene as MuJoCo XML, with asset paths that begin at `robosuite/` (robosuite completes them when it loads one)."""
        return self._physics.xml()

    # ---- pictures

    def render(self) -> np.ndarray:
        """The scene camera's view, uint8 (480, 640, 3)."""
        return self.draw(self.scene_camera, *SCENE_SIZE)

    def draw(self, camera: str, height: int, width: int) -> np.ndarray:
        """The present state from any camera, uint8 (height, width, 3)."""
        return self._renderer.draw(self._data, camera, height, width)

    def camera_frames(self) -> np.ndarray:
        """The present state from the policy's cameras, uint8 (cameras, size, size, 3)."""
        return self._history.newest().copy()

    def _draw_all(self, qpos: np.ndarray) -> np.ndarray:
        self._sketch.qpos[:] = qpos
        return np.stack([self._renderer.draw(self._sketch, camera, self.size, self.size) for camera in self.cameras])

    def project(self, camera: str, points_world: np.ndarray, height: int, width: int) -> np.ndarray:
        """Where points (n, 3) in metres are in the present picture of `camera`: (n, 2) column, row; nan behind the camera."""
        index = self._model.camera(camera).id
        seen = (np.atleast_2d(points_world) - self._data.cam_xpos[index]) @ self._data.cam_xmat[index].reshape(3, 3)  # x right, y up, −z ahead
        focal = height / 2 / np.tan(np.deg2rad(self._model.cam_fovy[index]) / 2)
        ahead = np.where(seen[:, 2] < 0, -seen[:, 2], np.nan)
        return np.stack([width / 2 + focal * seen[:, 0] / ahead, height / 2 - focal * seen[:, 1] / ahead], axis=1)

    def close(self) -> None:
        """Gives up the simulation and the OpenGL context; may be called twice."""
        if self._close_renderer.alive:
            self._close_renderer()
            atexit.unregister(self._close_renderer)
            self.simulation.close()
