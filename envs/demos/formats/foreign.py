"""What demonstrations of others lack and ours have: settings, and pictures of one square size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.catalogue import TASKS
from envs.demos.formats import Reading
from envs.foreign.scaled import scaled_to
from whatwhere.errors import BadInput

UNKNOWN = "unknown"  # a version that fits no task, so that nothing takes them for our own
FRAME_GAP = 4  # control steps: as `collect` has it


def task_of(reading: Reading, env_name: str, is_robosuite: bool = True) -> str:
    """The task's name here: as chosen, else ours of that robosuite class, else `robosuite/<class>`."""
    ours = {place.partition(":")[2]: name for name, place in TASKS.items()}
    return reading.task or ours.get(env_name) or (f"robosuite/{env_name}" if is_robosuite else UNKNOWN)


def foreign_settings(task: str, cameras: Sequence[str], control_hz: float, versions: dict[str, Any]) -> dict[str, Any]:
    """Settings as `envs.demos.records.Settings` wants them; the size is known when the pictures are."""
    unknown = {"task_version": UNKNOWN, "init_hash": None, "seed": None, "episode": None, "rendering": UNKNOWN, "horizon": None}
    return {"task": task, **unknown, "size": 1, "cameras": list(cameras), "frame_gap": FRAME_GAP, "control_hz": control_hz, "versions": versions}


def out_of_range(actions: np.ndarray) -> str | None:
    """What is wrong with the numbers, if anything is."""
    found = float(actions.flat[np.abs(actions).argmax()])
    return f"actions: needs values in [-1, 1], found {found:g}: other units than this package's" if abs(found) > 1 else None


def squared(where: str, pictures: Sequence[np.ndarray], size: int | None) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The cameras' pictures (t, h, w, 3) → (t, c, size, size, 3), and their height and width before they were scaled (None: they are as they were).

    Raises BadInput if they have not one square size.
    """
    scaled = [scaled_to(frames, size) for frames in pictures]
    shapes = sorted({frames.shape[1:3] for frames in scaled})
    if len(shapes) != 1 or len(set(shapes[0])) != 1:
        found = ", ".join(f"{height} × {width}" for height, width in shapes)
        raise BadInput(f"{where}: pictures are {found}, needed is one square size; give size=… to cut and scale them")
    before = {frames.shape[1:3] for frames in pictures}
    height, width = before.pop()
    return np.stack(scaled, axis=1), None if before or (height, width) == shapes[0] else (height, width)
