"""Writes an episode as a table: what was done and what came of it, a line a control step, for plots and for finding out why something failed."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from eval.observers import Observer
from whatwhere.files import write_text


class TrajectoryObserver(Observer):
    """Writes `folder`/trajectories/episode_<i>.csv and adds its path, relative to `folder`, to the row as `trajectory`.

    Columns: step (0: the start, without an action), action_0 …, success, position_error_cm, then every number of the privileged state
    (metres and radians, world frame) under its name without `privileged/`, numbered where there is more than one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: dict[str, Any]) -> None:
        self.name = f"trajectories/episode_{row['episode']}.csv"
        self.lines = [_line(0, np.full(env.action_space.shape, np.nan), info)]

    def step(self, env: Any, action: np.ndarray, info: dict[str, Any]) -> None:
        self.lines.append(_line(len(self.lines), np.asarray(action), info))

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        text = io.StringIO()
        table = csv.DictWriter(text, list(dict.fromkeys(key for line in self.lines for key in line)))
        table.writeheader()
        table.writerows(self.lines)
        (self.folder / self.name).parent.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / self.name, text.getvalue())
        return {"trajectory": self.name}


def _line(step: int, action: np.ndarray, info: dict[str, Any]) -> dict[str, Any]:
    numbers = {"action": action} | {key.removeprefix("privileged/"): value for key, value in info.items() if key.startswith("privileged/")}
    line: dict[str, Any] = {"step": step, "success": int(info["success"]), "position_error_cm": info["position_error_cm"]}
    for name, value in numbers.items():
        flat = np.ravel(value)
        line |= {name if flat.size == 1 else f"{name}_{i}": round(float(number), 6) for i, number in enumerate(flat)}
    return line
