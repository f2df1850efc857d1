"""Small demonstrations, ours and others', for the tests of formats and of `inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from envs.demos.episodes import Episode, write_episode

CAMERAS = ("agentview", "robot0_eye_in_hand")
SETTINGS: dict[str, Any] = {
    "task": "made_up",
    "task_version": "0",
    "env_name": "MadeUp",
    "rendering": "fast",
    "size": 16,
    "cameras": list(CAMERAS),
    "frame_gap": 4,
    "control_hz": 20,
    "horizon": 75,
    "versions": {"robosuite": "1.5.2", "mujoco": "3.9.0"},
    "model_file": "<mujoco/>",
}


def made_up(number: int = 0, steps: int = 12, **changes: Any) -> Episode:
    """Smooth colours that move, so that a video codec keeps them."""
    rng = np.random.default_rng(number)
    grid = np.linspace(0, 3, 16)[None, None, None, :] + np.linspace(0, 2, 16)[None, None, :, None]
    waves = np.sin(grid + np.arange(steps)[:, None, None, None] / 5 + np.arange(2)[None, :, None, None] + number)
    frames = (120 + 90 * waves[..., None] * np.array([1, 0.8, -0.9])).astype(np.uint8)
    actions = np.clip(rng.normal(0, 0.4, (steps, 7)), -0.9, 0.9).astype(np.float32)
    actions[:, 6] = np.where(np.arange(steps) < steps // 2, -1, 1)
    attrs = {**SETTINGS, "seed": 7, "episode": number, "init_hash": f"{number:016x}", "noise": 0.3}
    executed = np.clip(actions + 0.01, -1, 1)
    values: dict[str, Any] = {
        "actions": actions,
        "states": rng.normal(size=(steps, 15)),
        "proprio": rng.normal(size=(steps, 10)).astype(np.float32),
        "frames": frames,
        "success": number != 2,
        "instruction": f"pick up <the {'green' if number == 1 else 'red'} cube>",
        "attrs": attrs,
        "executed_actions": executed,
    }
    return Episode(**{**values, **changes})


def write_folder(folder: Path, number: int = 3) -> Path:
    for i in range(number):
        write_episode(folder / f"episode_{i}.hdf5", made_up(i, steps=10 + i))
    return folder


def write_robomimic(path: Path, demos: int = 3, steps: int = 8, pictures: bool = True, model: str = "<mujoco/>", states: int = 9) -> Path:
    """As robomimic's own tools leave it: double precision, many observations, masks; no seals."""
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = demos * steps
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_version": "1.5.1", "env_kwargs": {"control_freq": 10, "robots": ["Panda"]}})
        for i in range(demos):
            demo = data.create_group(f"demo_{i + 8}")  # so that the order of names is not that of numbers
            demo.attrs["num_samples"], demo.attrs["model_file"] = steps, model
            demo["actions"] = rng.uniform(-1, 1, (steps, 7))
            demo["states"] = rng.normal(size=(steps, states))
            demo["rewards"] = np.r_[np.zeros(steps - 1), float(i != 1)]
            demo["dones"] = np.r_[np.zeros(steps - 1, int), 1]
            for name, size in (("object", 10), ("robot0_eef_pos", 3), ("robot0_eef_quat", 4), ("robot0_gripper_qpos", 2), ("robot0_joint_pos", 7)):
                demo[f"obs/{name}"] = rng.normal(size=(steps, size))
            for camera in CAMERAS if pictures else ():
                demo.create_dataset(f"obs/{camera}_image", data=rng.integers(0, 256, (steps, 20, 20, 3), dtype=np.uint8), compression="gzip")
        names = [f"demo_{i + 8}" for i in range(demos)]
        file["mask/train"] = np.array([name for name in names if name != "demo_9"], dtype="S")
        file["mask/valid"] = np.array([name for name in names if name == "demo_9"], dtype="S8")
    return path


def assert_same(read: Episode, written: Episode) -> None:
    """Bit by bit, settings included."""
    for name in ("actions", "states", "proprio", "frames", "executed_actions"):
        one, other = getattr(read, name), getattr(written, name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)
    assert (read.success, read.instruction, read.attrs) == (written.success, written.instruction, written.attrs)
