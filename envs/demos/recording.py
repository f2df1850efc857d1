"""An episode while it is being recorded: row i is what held before action i. Pictures may be drawn later, for they follow from the states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from envs.demos.episodes import Episode
from whatwhere.versions import stamp

if TYPE_CHECKING:
    from envs.base import TaskEnv


def attrs_of(env: TaskEnv, info: dict[str, Any]) -> dict[str, Any]:
    """What an episode file says about the environment it was recorded in; `info` is that of the reset."""
    return (
        {
            "task": env.task,
            "task_version": env.task_version,
            "env_name": env.name,
            "init_hash": info["init_hash"],
            "rendering": env.rendering,
            "size": int(env.size),
            "cameras": list(env.cameras),
            "frame_gap": int(env.frame_gap),
            "control_hz": env.control_hz,
            "horizon": int(env.horizon),
            "recorded_actions": "corrective (what the source wanted); executed_actions: what was sent to the simulator, noise included",
            "versions": stamp(),
            "model_file": env.model_xml(),
        }
        | ({"split": env.split} if env.split else {})
        | (env.motion.record() if env.motion else {})
    )


class Recording:
    """The rows of one episode from start `start` of `seed`; `add` takes the present state of `env`, whose start `info` describes."""

    def __init__(self, env: TaskEnv, info: dict[str, Any], seed: int, start: int, attrs: dict[str, Any]) -> None:
        """`attrs` are added to those that `attrs_of` gives."""
        self.env, self.start = env, start
        self._attrs = attrs_of(env, info) | {"seed": seed, "episode": start} | attrs
        self._instruction = env.instruction
        self.rows: list[dict[str, list[float]]] = []  # what the journal keeps: action, state, proprio, and the arm's goal where it changed
        self._moments: list[np.ndarray] = []  # what the pictures of each row are made of
        self._frames: list[np.ndarray] = []  # of the first rows

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, action: np.ndarray, arm_goal: np.ndarray | None = None) -> dict[str, list[float]]:
        """What holds now, before `action` (a,) float32, as plain lists (JSON keeps them exactly)."""
        row = {"action": action.tolist(), "state": self.env.get_state().tolist(), "proprio": self.env.proprio().tolist()}
        return row if arm_goal is None else row | {"arm_goal": np.asarray(arm_goal).tolist()}

    def add(self, row: dict[str, list[float]]) -> None:
        """Takes the row of the present state."""
        self.rows.append(row)
        self._moments.append(self.env.moment())

    @property
    def undrawn(self) -> int:
        """How many rows have no pictures yet."""
        return len(self.rows) - len(self._frames)

    def draw_one(self) -> None:
        """Draws the pictures of the oldest row that has none."""
        self._frames.append(self.env.frames_of(self._moments[len(self._frames)]))

    def episode(self, success: bool, position_error_cm: float | None, **attrs: Any) -> Episode:
        """All of it, as an episode file wants it. Needs at least one row; draws what is not drawn yet."""
        while self.undrawn:
            self.draw_one()
        goals = [[step, *row["arm_goal"]] for step, row in enumerate(self.rows) if "arm_goal" in row]
        error = position_error_cm if position_error_cm is not None and np.isfinite(position_error_cm) else None
        return Episode(
            actions=np.array([row["action"] for row in self.rows], np.float32),
            states=np.array([row["state"] for row in self.rows], np.float64),
            proprio=np.array([row["proprio"] for row in self.rows], np.float32),
            frames=np.stack(self._frames),
            success=success,
            instruction=self._instruction,
            attrs=self._attrs | {"position_error_cm": error} | ({"arm_goals": goals} if goals else {}) | attrs,
        )
