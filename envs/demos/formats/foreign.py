"""What demonstrations of others lack and ours have: settings, and pictures of one square size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from envs import TASKS
from envs.demos.formats import Reading
from whatwhere.errors import BadInput

UNKNOWN = "unknown"  # a version that fits no task, so that nothing takes them for our own
FRAME_GAP = 4  # control steps: as `collect` has it


def task_of(reading: Reading, env_name: str) -> str:
    """The task's name here: as chosen, else ours of that robosuite class, else `robosuite/<class>`."""
    ours = {place.partition(":")[2]: name for name, place in TASKS.items()}
    return reading.task or ours.get(env_name) or f"robosuite/{env_name}"


def foreign_settings(task: str, cameras: Sequence[str], control_hz: float, versions: dict[str, Any]) -> dict[str, Any]:
    """Settings as `envs.demos.records.Settings` wants them; the size is known when the pictures are."""
    unknown = {"task_version": UNKNOWN, "init_hash": None, "seed": None, "episode": None, "rendering": UNKNOWN, "horizon": None}
    return {"task": task, **unknown, "size": 1, "cameras": list(cameras), "frame_gap": FRAME_GAP, "control_hz": control_hz, "versions": versions}


def out_of_range(actions: np.ndarray) -> str | None:
    """What is wrong with the numbers, if anything is."""
    found = float(actions.flat[np.abs(actions).argmax()])
    return f"actions: needs values in [-1, 1], found {found:g}: other units than this package's" if abs(found) > 1 else None


def scaled_to(frames: np.ndarray, size: int | None) -> np.ndarray:
    """(t, h, w, 3) → (t, size, size, 3): the middle square, scaled; as they are if `size` is None."""
    height, width = frames.shape[1:3]
    if size is None or height == width == size:
        return frames
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = frames[:, top : top + edge, left : left + edge]
    return np.stack(
        [np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BOX if size < edge else Image.Resampling.BICUBIC)) for frame in square]
    )


def fitted(where: str, pictures: list[np.ndarray]) -> list[np.ndarray]:
    """The cameras' pictures if they have one square size. Raises BadInput."""
    shapes = {tuple(frames.shape[1:3]) for frames in pictures}
    if len(shapes) != 1 or len(set(next(iter(shapes)))) != 1:
        raise BadInput(
            f"{where}: pictures are {', '.join(f'{h} × {w}' for h, w in sorted(shapes))}, needed is one square size; give size=… to cut and scale them"
        )
    return pictures
