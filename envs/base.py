"""A task under the gymnasium contract: seeds, observations, control steps, and failures that end an episode and not the run."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from envs.catalogue import LARGEST_PICTURE, LONGEST_LATENCY, RENDERINGS
from envs.frames import FrameHistory
from envs.instruction import Instruction, check_instruction
from envs.language.things import Thing
from envs.motion import Motion
from whatwhere.errors import BadInput, choose, positive, shown

CONTROL_HZ = 20
SCENE_SIZE = (480, 640)  # height and width of `render()`
START_ATTEMPTS = 1000
PROPRIO_BOUND = 2.0

Info = dict[str, Any]
OnStep = Callable[["TaskEnv", np.ndarray, Info], None]


class TaskEnv(gymnasium.Env):
    """One environment of one task, for collecting, training and evaluation. Subclasses say what runs inside (`simulation`).

    Observation: `frames` uint8 (cameras, 2, size, size, 3): the frame `frame_gap` control steps ago (the reset's, if there were
    fewer) and the present one; `proprio` float32 (s,); `instruction`. With `latency` both frames are that many control
    steps older, while `proprio` is present; with `action_latency` an action is executed that many control steps after it was given, and
    until the first arrives the robot gets zeros. Action: float (a,) in [−1, 1], clipped to that; one that
    has another shape or is not finite ends the episode as a failure. Reward 1 on success, else 0. `info` always has `success`,
    `position_error_cm` (None only for tasks from elsewhere that define none), `failure` and `init_hash`. Privileged state is in
    `info["privileged/…"]` only.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}

    simulation: Any  # the environment inside, of robosuite or gymnasium
    name: str  # what that one is called where it comes from
    task_version: str
    split: str | None = None  # which things and sentences there are, in versions of tasks that have a choice
    horizon: int
    control_hz: float  # control steps a second
    cameras: tuple[str, ...]
    scene_camera: str
    motion: Motion | None = None  # what moves by itself
    has_joints = True  # whether the state is that of joints: time, positions, velocities (m, rad, s)

    def __init__(
        self, task: str, *, rendering: str, size: int, frame_gap: int, horizon: int | None, latency: int = 0,
        action_latency: int = 0, render_mode: str | None = "rgb_array",
    ) -> None:  # fmt: skip
        """Checks and keeps what `envs.make` describes; a subclass makes the rest, and at last calls `_set_up`. Raises BadInput."""
        choose("rendering", rendering, RENDERINGS)
        for name, value, least in (("size", size, 16), ("frame_gap", frame_gap, 1), ("horizon", 1 if horizon is None else horizon, 1)):
            positive(name, value, least)
        if size > LARGEST_PICTURE:
            raise BadInput(f"size={size}: must be at most {LARGEST_PICTURE}")
        for name, value in (("latency", latency), ("action_latency", action_latency)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= LONGEST_LATENCY:
                raise BadInput(f"{name}={shown(value)}: must be a whole number of control steps from 0 to {LONGEST_LATENCY}")
        self.task, self.rendering, self.size, self.frame_gap, self.render_mode = task, rendering, size, frame_gap, render_mode
        self.latency, self.action_latency = int(latency), int(action_latency)
        self._seed: int | None = None
        self._episode = -1
        self._steps = 0
        self._over = True
        self._failure: str | None = None
        self._init_hash = ""
        self._info: Info = {}

    def _set_up(self, cameras: Sequence[str], there: Sequence[str], action_dim: int, proprio_dim: int) -> None:
        """Spaces and history for `cameras`, which must be among those that are `there`. Raises BadInput."""
        check_instruction(self.task, self.instruction)
        for camera in cameras:
            choose("cameras", camera, there)
        self.cameras, self.action_dim = tuple(cameras), action_dim
        self._history = FrameHistory(self._draw_all, self.frame_gap, self.latency)
        self.action_space = spaces.Box(-1.0, 1.0, (action_dim,), np.float32)
        self.observation_space = spaces.Dict(
            {
                "frames": spaces.Box(0, 255, (len(self.cameras), 2, self.size, self.size, 3), np.uint8),
                "proprio": spaces.Box(-PROPRIO_BOUND, PROPRIO_BOUND, (proprio_dim,), np.float32),
                "instruction": Instruction(),
            }
        )

    # ---- what a subclass defines

    @property
    def instruction(self) -> str:
        raise NotImplementedError

    def _start(self, words: list[int]) -> str:
        """Puts the simulation at the start that `words` seed, one that is not a success already. Returns the start's hash."""
        raise NotImplementedError

    def _act(self, command: np.ndarray) -> str | None:
        """One control step; the reason if it failed."""
        raise NotImplementedError

    def _read(self) -> tuple[Info, np.ndarray]:
        """`success`, `position_error_cm` and more of the present state, and proprio (s,)."""
        raise NotImplementedError

    def _moment(self) -> np.ndarray:
        """What the pictures of the present state are made of."""
        raise NotImplementedError

    def _draw_all(self, moment: np.ndarray) -> np.ndarray:
        """The pictures of a moment from the policy's cameras, uint8 (cameras, size, size, 3)."""
        raise NotImplementedError

    def get_state(self) -> np.ndarray:
        """float64 (n,): with joints (1 + nq + nv,): time, qpos, qvel."""
        raise NotImplementedError

    def set_state(self, state: np.ndarray) -> Info:
        """Puts the simulation in `state` as if an episode began there. Returns its info. Raises BadInput where that cannot be."""
        raise NotImplementedError

    @property
    def things(self) -> tuple[Thing, ...]:
        """What lies there and can be named, first what is meant; empty where no instruction chooses."""
        return ()

    def mean(self, order: Sequence[int]) -> tuple[dict[str, Any], Info]:
        """At the start of an episode: other `things` are meant, in this order of their numbers. Only where there are some."""
        raise NotImplementedError

    def proprio(self) -> np.ndarray:
        """float32 (s,): as in the observation of the present state."""
        return self._proprio.copy()

    def model_xml(self) -> str:
        """The scene as MuJoCo XML; empty where there is none."""
        return ""

    def draw(self, camera: str, height: int, width: int) -> np.ndarray:
        """The present state from any camera, uint8 (height, width, 3)."""
        raise NotImplementedError

    def project(self, camera: str, points_world: np.ndarray, height: int, width: int) -> np.ndarray:
        """Where points (n, 3) in metres are in the present picture of `camera`: (n, 2) column, row; nan behind the camera or unknown."""
        return np.full((len(np.atleast_2d(points_world)), 2), np.nan)

    # ---- episodes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], Info]:
        """Starts episode `options["episode"]` of `seed`; without an episode, 0 of a new seed, or else the one after the last.

        The start is a function of (task, version, seed, episode) alone. Raises BadInput.
        """
        super().reset(seed=seed)
        self._seed, self._episode = self._which(seed, options or {})
        self._init_hash = self._start([zlib.crc32(self.task.encode()), int(self.task_version), self._seed, self._episode])
        check_instruction(self.task, self.instruction)  # which may be another one in each episode
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

    def _begin(self) -> None:
        self._steps, self._over, self._failure = 0, False, None
        self._history.restart(self._moment())
        self._underway = deque(np.zeros(self.action_dim) for _ in range(self.action_latency))
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
        if command is not None:
            self._underway.append(command)
        self._failure = "bad_action" if command is None else self._act(self._underway.popleft())
        if self._failure is None:
            self._history.add(self._moment())
        self._look()
        terminated = self._info["failure"] is not None or self._info["success"]
        truncated = not terminated and self._is_out_of_time()
        self._over = terminated or truncated
        return terminated, truncated

    def _is_out_of_time(self) -> bool:
        return self._steps >= self.horizon

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
        read, proprio = self._read()
        self._info = {"failure": None, "init_hash": self._init_hash} | read
        self._proprio = np.clip(np.asarray(proprio, np.float32), -PROPRIO_BOUND, PROPRIO_BOUND)

    def _observation(self) -> dict[str, Any]:
        return {"frames": self._history.pair(), "proprio": self._proprio.copy(), "instruction": self.instruction}

    # ---- pictures

    def render(self) -> np.ndarray:
        """The scene camera's view, uint8 (480, 640, 3)."""
        return self.draw(self.scene_camera, *SCENE_SIZE)

    def camera_frames(self) -> np.ndarray:
        """The present state from the policy's cameras, uint8 (cameras, size, size, 3)."""
        return self._history.newest().copy()

    def moment(self) -> np.ndarray:
        """All that the present pictures depend on, for `frames_of`."""
        return np.array(self._moment())

    def frames_of(self, moment: np.ndarray) -> np.ndarray:
        """What the policy's cameras saw at a moment of this episode, uint8 (cameras, size, size, 3): pictures can be drawn late. Changes nothing."""
        return self._draw_all(moment)
