"""Where demonstrations begin, beside where evaluation episodes will: both are asked of the task itself, without drawing more than a reset does."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs import TASKS
from envs.catalogue import recorded_version, told_version
from envs.demos.inspection.summary import Summary
from envs.motion import recorded, told
from envs.seeds import REPORTED
from whatwhere.files import path_name, read_json, write_json
from whatwhere.versions import check_simulator, stamp

SMALLEST_PICTURE = 16


@dataclass(frozen=True)
class Coverage:
    """Horizontal positions in cm, (n, 2) each; `frame` says of what and in which axes."""

    demos: np.ndarray
    evaluation: np.ndarray
    frame: str

    @property
    def nearest_cm(self) -> np.ndarray:
        """For each evaluation start the distance of the nearest demonstration's."""
        return np.linalg.norm(self.evaluation[:, None] - self.demos[None], axis=2).min(1)

    def line(self) -> str:
        near = self.nearest_cm
        return f"{len(near)} evaluation starts: nearest demonstration {np.median(near):.1f} cm away (median), {near.max():.1f} cm (farthest)"


def coverage(summaries: Sequence[Summary], num_starts: int, cache: Any) -> Coverage | str:
    """The map, or why there is none. `cache` is a folder for positions of evaluation starts, which never change for a version of a task."""
    settings = summaries[0].settings
    task = settings["task"]
    if task not in TASKS:
        return f"no map: {task} is not one of this package's tasks, so its positions are not known"
    if len({(s.settings["task"], s.settings["task_version"], s.settings.get("split"), len(s.first_state)) for s in summaries}) > 1:
        return "no map: more than one task, or version of it"
    check_simulator()
    import envs

    with contextlib.closing(envs.make(task, size=SMALLEST_PICTURE, **recorded_version(settings), **recorded(settings))) as env:
        if env.task_version != settings["task_version"] or len(env.get_state()) != len(summaries[0].first_state):
            return f"no map: recorded with version {settings['task_version']} of {task}, here it is {env.task_version}"
        demos, frames = zip(*(_position(env.set_state(summary.first_state)) for summary in summaries), strict=True)
        evaluation = _evaluation_starts(env, num_starts, cache)
    return Coverage(np.array(demos), evaluation, frames[0])


def _evaluation_starts(env: Any, count: int, cache: Any) -> np.ndarray:
    moving = f"-{path_name(told(env.motion))}" if env.motion else ""  # starts that have no room for it are drawn again
    path = cache / f"{env.task}-{told_version(int(env.task_version), env.split) or 'v0'}{moving}-{stamp()['mujoco']}-{stamp()['robosuite']}.json"
    from whatwhere.schema import Finite

    known = read_json(path, list[tuple[Finite, Finite]]) if path.exists() else []
    if len(known) < count:
        known += [_position(env.reset(seed=REPORTED[0], options={"episode": i})[1])[0].tolist() for i in range(len(known), count)]
        with contextlib.suppress(OSError):  # a cache that cannot be written costs seconds, no more
            write_json(path, known)
    return np.array(known[:count])


def _position(info: dict[str, Any]) -> tuple[np.ndarray, str]:
    """(cm, what and in which axes): the target's place; of a robot that drives, as seen from its base."""
    target = info["privileged/target_pos_world"][:2]
    if "privileged/base_pose_world" not in info:
        return 100 * target, "target, world frame"
    x, y, heading = info["privileged/base_pose_world"]
    ahead = np.array([np.cos(heading), np.sin(heading)])
    offset = target - (x, y)
    return 100 * np.array([offset @ ahead, offset @ (-ahead[1], ahead[0])]), "target, seen from the robot's base (x ahead, y left)"
