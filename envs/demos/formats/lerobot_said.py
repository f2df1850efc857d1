"""What a LeRobotDataset of others says of itself (names, rates, outcomes), held against what is in it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from whatwhere.errors import BadInput

OUTCOMES = ("next.success", "next.reward")
JOINTS = re.compile(r"joint|motor|servo|shoulder|elbow|wrist|waist|forearm|\.pos$|deg|torque|absolute", re.IGNORECASE)  # names of what is no relative pose
MAX_DRIFT = 0.01  # share of the rate by which timestamps may be off


def action_names(features: dict[str, Any]) -> list[str]:
    """What the numbers of an action are called; empty if nothing is said. (LeRobot has had lists, and dicts of lists.)"""
    names = features["action"].get("names")
    if isinstance(names, dict):
        names = [name for part in names.values() if isinstance(part, list) for name in part]
    return [str(name)[:60] for name in names] if isinstance(names, list) else []


def control_text(info: dict[str, Any]) -> str:
    """In a line, for people."""
    names, robot = action_names(info["features"]), info.get("robot_type")
    return ", ".join([*([f"robot {robot!s:.40}"] if robot else []), " ".join(names) or "not said", f"{info['fps']:g} Hz"])


def problem(info: dict[str, Any]) -> str | None:
    """Why the actions cannot be relative end-effector poses."""
    if joints := [name for name in action_names(info["features"]) if JOINTS.search(name)]:
        return f"actions are named {', '.join(joints)[:120]}"
    return None


def check_rates(where: str, info: dict[str, Any], timestamps: np.ndarray | None, order: np.ndarray | None) -> None:
    """Raises BadInput unless timestamps (t,) in seconds and videos have the rate of info.json, and steps (t,) are in order: by these pictures are found."""
    for key, feature in info["features"].items():
        more = feature.get("info") or feature.get("video_info")
        rate = more.get("video.fps", more.get("fps")) if isinstance(more, dict) else None
        if feature["dtype"] == "video" and rate is not None and rate != info["fps"]:
            raise BadInput(f"{where}: meta/info.json: fps={info['fps']:g}, but {key} is a video of {rate!r:.20} frames a second")
    if order is not None and not np.array_equal(order, np.arange(len(order))):
        raise BadInput(f"{where}: frame_index: needs 0, 1, 2, … in this order, found {', '.join(map(str, order[:5]))} …")
    if timestamps is None or len(timestamps) < 2:
        return
    seconds = (timestamps[-1] - timestamps[0]) / (len(timestamps) - 1) if timestamps.dtype.kind == "f" else np.nan
    if not abs(seconds * info["fps"] - 1) <= MAX_DRIFT:
        raise BadInput(f"{where}: meta/info.json: fps={info['fps']:g}, but its timestamps are {seconds:.4g} s apart")


def success_of(where: str, columns: dict[str, np.ndarray]) -> bool:
    """By the environment's word, else by its reward, else because it is a demonstration. Raises BadInput for what is neither."""
    for key, kinds, needed in (("next.success", "biu", "true or false"), ("next.reward", "fiu", "a finite number")):
        if key in columns:
            column = columns[key]
            fits = column.dtype.kind in kinds and column.size == len(column) and np.isfinite(column).all()
            if not fits or (key == "next.success" and not np.isin(column, (0, 1)).all()):
                raise BadInput(f"{where}: {key}: needs {needed} in every step, found {'text' if column.dtype.kind in 'OUS' else column.dtype}")
            return bool(column.max() >= 1)
    return True


def finite(where: str, key: str, column: np.ndarray, size: int) -> np.ndarray:
    """float32 (t, size). Raises BadInput for text, another number of numbers, and for NaN."""
    if column.dtype.kind not in "fiub":
        raise BadInput(f"{where}: {key}: needs numbers, found {column.dtype}")
    values = column.reshape(len(column), -1)
    if values.shape[1] != size:
        raise BadInput(f"{where}: {key}: {values.shape[1]} numbers a step, meta/info.json says {size}")
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.isfinite(single).all():
        raise BadInput(f"{where}: {key}: NaN or infinite at step {int(np.argwhere(~np.isfinite(single))[0][0])}")
    return single


def told(features: dict[str, Any]) -> list[str]:
    """The columns that say how an episode went and when its steps were."""
    return [key for key in (*OUTCOMES, "timestamp", "frame_index") if key in features]
