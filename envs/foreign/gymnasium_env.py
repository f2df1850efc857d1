"""A gymnasium environment as a task: what it shows becomes the policy's pictures, what it counts as success is the score."""

from __future__ import annotations

import hashlib
import importlib
import multiprocessing
import sys
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator

from envs.base import SCENE_SIZE, START_ATTEMPTS, Info, TaskEnv
from envs.foreign.commands import Commands
from envs.foreign.names import GYMNASIUM, imported
from envs.foreign.shown import Shown, fitted
from whatwhere.errors import BadInput

HORIZON = 500  # control steps of an environment that names no limit
SUCCESS = ("is_success", "success")  # in info, by the custom of gymnasium-robotics and others


class GymnasiumEnv(TaskEnv):
    """One environment of a task that is a gymnasium environment with pictures among its observations, or that can be rendered.

    Success: `info["is_success"]` or `info["success"]`; for an environment that never has either, a return of at least its
    `reward_threshold` at the episode's end. Position error: its method `position_error_cm()` or `info["position_error_cm"]`,
    else None. What the policy sees of it: `envs.foreign.shown`; it is said on stderr. `rendering` has no meaning here. An episode
    that the environment ends without success has the failure "terminated".
    """

    has_joints = False
    task_version = "0"

    def __init__(self, task: str, *, horizon: int | None, cameras: Sequence[str] | None, **options: Any) -> None:
        """What `envs.make` describes; the defaults are there. Raises BadInput."""
        super().__init__(task, horizon=horizon, **options)
        self.simulation, limit = made(task)
        spec = self.simulation.spec
        self.name = spec.id if spec is not None else type(self.simulation.unwrapped).__name__
        self._threshold = None if spec is None else spec.reward_threshold
        self.horizon = horizon or limit or HORIZON
        self.control_hz = round(self.simulation.metadata.get("render_fps") or 20)
        self._commands = Commands(task, self.simulation.action_space)
        self._shown = Shown(task, self.simulation, self.size, self._own("policy_cameras", None), self._own("policy_proprio", None))
        if multiprocessing.parent_process() is None or multiprocessing.current_process().name.endswith("-1"):  # of many workers, the first
            print(f"task={task}: {self._shown.line()}", file=sys.stderr, flush=True)
        self._try_out()
        self._error: Callable[[], float] | None = self._own("position_error_cm", None)
        self.scene_camera = self._shown.cameras[0]
        self._set_up(self._shown.cameras if cameras is None else cameras, self._shown.cameras, self._commands.dim, self._shown.proprio_dim)

    def _try_out(self) -> None:
        """Raises BadInput if what the environment needs (a package that draws, say) is not here."""
        try:
            self._shown.look(self.simulation.reset(seed=0)[0])
        except (gymnasium.error.Error, ImportError) as error:
            raise BadInput(f"task={self.task}: cannot be run ({short(error)})") from None

    def _own(self, name: str, default: Any) -> Any:
        """What the environment itself says of this package's matters."""
        return self.simulation.get_wrapper_attr(name) if self.simulation.has_wrapper_attr(name) else default

    @property
    def instruction(self) -> str:
        return self._own("instruction", self.name.rpartition("/")[2].partition("-v")[0])

    # ---- episodes

    def _start(self, words: list[int]) -> str:
        for seed in np.random.SeedSequence(words).generate_state(START_ATTEMPTS):
            self._seen, self._outcome = self.simulation.reset(seed=int(seed))
            self._return, self._terminated, self._truncated, self._says = 0.0, False, False, False
            self._shown.look(self._seen)
            if not self._is_success(at_end=False):
                return hashlib.sha256(f"{self.task} ".encode() + self._shown.fingerprint()).hexdigest()[:16]
        raise RuntimeError(f"{self.task}: no start in {START_ATTEMPTS} that is not a success already")

    # ---- steps

    def _act(self, command: np.ndarray) -> str | None:
        self._seen, reward, self._terminated, self._truncated, self._outcome = self.simulation.step(self._commands.of(command))
        self._return += float(reward)
        self._shown.look(self._seen)
        return None

    def _read(self) -> tuple[Info, np.ndarray]:
        success = self._is_success(at_end=self._terminated or self._is_out_of_time())
        error = self._outcome.get("position_error_cm") if self._error is None else self._error()
        info: Info = {"success": success, "position_error_cm": None if error is None else float(error)}
        info["failure"] = "terminated" if self._terminated and not success else None
        told = {name: value for name, value in self._outcome.items() if isinstance(value, np.number | int | float) or _is_numbers(value)}
        privileged = {f"privileged/{name}": np.asarray(value, np.float64) for name, value in (self._shown.privileged() | told).items()}
        return info | privileged, self._shown.proprio()

    def _is_success(self, at_end: bool) -> bool:
        for name in SUCCESS:
            if name in self._outcome:
                self._says = True
                return bool(self._outcome[name])
        if not at_end or self._says:
            return False
        if self._threshold is None:
            raise BadInput(f"task={self.task}: does not say whether an episode succeeded: put is_success into its info, or register it with a reward_threshold")
        return self._return >= self._threshold

    def _is_out_of_time(self) -> bool:
        return self._truncated or super()._is_out_of_time()

    # ---- states

    def get_state(self) -> np.ndarray:
        """float64 (n,): step, all numbers that the environment shows, and a checksum of its pictures: enough to compare, not to go back to."""
        return np.concatenate([[self._steps], self._shown.numbers(), [zlib.crc32(self._shown.pictures.tobytes()) / 2**32]])

    def set_state(self, state: np.ndarray) -> Info:
        raise BadInput(f"task={self.task}: cannot be set to a recorded state (gymnasium); replay it with start=seed, collect again to render it")

    # ---- pictures

    def _moment(self) -> np.ndarray:
        return self._shown.pictures[[self._shown.cameras.index(camera) for camera in self.cameras]]

    def _draw_all(self, moment: np.ndarray) -> np.ndarray:
        return moment

    def draw(self, camera: str, height: int, width: int) -> np.ndarray:
        return fitted(self._shown.original(camera), height, width)

    def render(self) -> np.ndarray:
        """What the environment itself draws, or its first picture, uint8 (480, 640, 3)."""
        drawn = self.simulation.render() if self.simulation.render_mode == "rgb_array" else None
        return fitted(self._shown.original(self.scene_camera) if drawn is None else np.asarray(drawn), *SCENE_SIZE)

    def close(self) -> None:
        self.simulation.close()


def made(task: str) -> tuple[gymnasium.Env, int | None]:
    """The environment behind `gymnasium/ID` or `module:Class`, without its time limit, and that limit in steps. Raises BadInput if it cannot be made."""
    try:
        if not task.startswith(GYMNASIUM):
            made_of = imported(task)
            return made_of(**({"render_mode": "rgb_array"} if _can_render(made_of) else {})), getattr(made_of, "default_horizon", None)
        name = task.removeprefix(GYMNASIUM)
        module, _, name_of = name.rpartition(":")
        if module:
            importlib.import_module(module)
        spec = gymnasium.spec(name_of)
        entry = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
        mode = {"render_mode": "rgb_array"} if _can_render(entry) and "render_mode" not in spec.kwargs else {}
        return gymnasium.make(spec, max_episode_steps=-1, disable_env_checker=True, **mode), spec.max_episode_steps
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise BadInput(f"task={task}: cannot be made ({short(error)})") from None


def _can_render(entry: Any) -> bool:
    return "rgb_array" in (getattr(entry, "metadata", None) or {}).get("render_modes", [])


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


def short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
