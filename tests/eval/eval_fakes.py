"""A tiny environment under the contract of `envs.base.TaskEnv`, and policies to break it with; importable in spawned workers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from eval.observers.freeze import FreezeObserver
from eval.observers.video import VideoObserver
from eval.playing.policies import Blind
from eval.playing.rollout_policy import RolloutPolicy
from eval.rollout import rollout


class FakeEnv:
    """A point on a square metre that must reach a target: success within 5 cm, the horizon 40 steps of 1/20 s."""

    task, task_version, control_hz, horizon = "fake", "0", 20, 40
    cameras, size, rendering = ("top", "wrist"), 32, "fast"
    scene_camera, has_joints, split, things = "top", True, None, ()
    action_space = SimpleNamespace(shape=(2,))

    def reset(self, *, seed: int, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([7, seed, options["episode"]])))
        self.position, self.target, self.steps = rng.uniform(0, 1, 2), rng.uniform(0, 1, 2), 0
        self.hash = hashlib.sha256(np.concatenate([self.position, self.target]).tobytes()).hexdigest()[:16]
        return self._obs(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        self.steps += 1
        failure = None if np.isfinite(action).all() else "bad_action"
        if failure is None:
            self.position = self.position + 0.05 * np.clip(action[:2], -1, 1)
        info: dict[str, Any] = self._info() | {"failure": failure}
        return self._obs(), float(info["success"]), info["success"] or failure is not None, self.steps >= self.horizon, info

    def step_chunk(self, actions: np.ndarray, on_step: Any = None) -> tuple[Any, ...]:
        executed = 0
        for action in actions:
            executed += 1
            obs, reward, terminated, truncated, info = self.step(action)
            if on_step is not None:
                on_step(self, action, info)
            if terminated or truncated:
                break
        return obs, reward, terminated, truncated, info, executed

    def get_state(self) -> np.ndarray:
        return np.concatenate([[self.steps / 20], self.position, self.target, np.zeros(4)])  # time, qpos, qvel

    def render(self) -> np.ndarray:
        picture = np.full((480, 640, 3), 90, np.uint8)
        for point, colour in ((self.target, (220, 40, 40)), (self.position, (240, 240, 240))):
            col, row = (np.clip(point, 0, 1) * (600, 440)).astype(int)
            picture[row : row + 30, col : col + 30] = colour
        return picture

    def project(self, camera: str, points_world: np.ndarray, height: int, width: int) -> np.ndarray:
        return points_world[:, :2] * (width, height)

    def close(self) -> None:
        pass

    def _obs(self) -> dict[str, Any]:
        picture = np.full((32, 32, 3), 128, np.uint8)
        col, row = (np.clip(self.position, 0, 1) * 28).astype(int)
        picture[row : row + 4, col : col + 4] = 255
        return {"frames": np.stack([np.stack([picture // 2, picture])] * 2), "proprio": self.position.astype(np.float32), "instruction": "reach the red square"}

    def _info(self) -> dict[str, Any]:
        distance = float(np.linalg.norm(self.position - self.target))
        return {
            "success": distance < 0.05, "position_error_cm": 100 * distance, "failure": None, "init_hash": self.hash,
            "privileged/target_pos_world": np.array([*self.target, 0.0]), "privileged/position": self.position,
        }  # fmt: skip


class Reach(RolloutPolicy):
    """Walks to the target, from the privileged state, in chunks of two."""

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        way = info["privileged/target_pos_world"][:2] - info["privileged/position"]
        return np.tile(np.clip(way / 0.1, -1, 1), (2, 1))


class Wander:
    """Uniform actions."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def act(self, info: dict[str, Any]) -> np.ndarray:
        return self.rng.uniform(-1, 1, 2)


def once(marker: str | None) -> bool:
    """True the first time it is asked (across processes); always True without a marker file."""
    if marker is None:
        return True
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def build(
    kill: int | None = None, hang: int | None = None, fail: int | None = None, marker: str | None = None, delay: float = 0.0, error: Exception | None = None,
    out: str = "", video: int = 0, task: str = FakeEnv.task,
) -> Iterator[Any]:  # fmt: skip
    """Plays fake episodes; the worker kills itself, hangs or raises in the middle of the episode named so, once or always. Leaves its pid in `marker`.pids.

    Of the first `video` episodes there is a video in `out`.
    """
    env, policy = FakeEnv(), Blind(Wander)
    env.task = task

    def play(episode: int, tell: Any) -> dict[str, Any]:
        tell({"episode": episode, "init_hash": env.reset(seed=5, options={"episode": episode})[1]["init_hash"]})
        time.sleep(delay)
        if episode == kill and once(marker):
            os.kill(os.getpid(), signal.SIGKILL)
        if episode == hang and once(marker):
            time.sleep(60)
        if episode == fail:
            raise error or ValueError("a fault of the code")
        films = [VideoObserver(out, "fake")] if episode < video else []
        return {"failure": None, "video": None} | rollout(env, policy, 5, episode, [FreezeObserver(), *films])

    if marker is not None:
        with Path(marker + ".pids").open("a") as file:
            file.write(f"{os.getpid()}\n")
    yield play


def build_never() -> Any:
    os._exit(3)
