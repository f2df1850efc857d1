"""A robomimic dataset as somebody else makes it: stock robosuite, its own observations and renderer, robomimic's documented layout. Nothing of ours.

python -m tests.envs.foreign.stock_lift lift.hdf5 25
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

CAMERAS = ("agentview", "robot0_eye_in_hand")
LOW_DIM = ("eef_pos", "eef_quat", "gripper_qpos", "gripper_qvel", "joint_pos", "joint_vel")


def controller(**changes: Any) -> dict[str, Any]:
    from robosuite.controllers import load_composite_controller_config

    config = load_composite_controller_config(robot="Panda")
    assert config is not None
    config["body_parts"]["right"] |= changes
    return config


def expert(seen: dict[str, np.ndarray], reach_m: float) -> np.ndarray:
    """(7,): over the cube with open fingers, down, close, up: in shares of `reach_m` a step, and of ten times as many radians."""
    away, action = seen["cube_pos"] - seen["robot0_eef_pos"], np.zeros(7)
    x, y, z, w = seen["cube_quat"]
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    hx, hy, hz, hw = seen["robot0_eef_quat"]  # of the hand's body, whose x axis lies across the fingers
    turn = (yaw - np.arctan2(2 * (hx * hy + hz * hw), 1 - 2 * (hy * hy + hz * hz)) + np.pi / 4) % (np.pi / 2) - np.pi / 4
    fingers = seen["robot0_gripper_qpos"][0] - seen["robot0_gripper_qpos"][1]
    distance = float(np.linalg.norm(away[:2]))
    at_cube = distance < 0.01 and abs(away[2]) < 0.015
    is_held = at_cube and fingers < 0.05
    height = 0.05 if is_held else away[2] + min(0.07, max(0.0, 3 * (distance - 0.003)))
    action[:3] = np.clip(np.append(away[:2], height) / reach_m, -1, 1)
    action[5] = np.clip(turn / (10 * reach_m), -1, 1)
    action[6] = 1 if at_cube else -1
    return action


def record(path: Path, demos: int, size: int = 84, hz: int = 20, seed: int = 0, noise: float = 0.1, upside_down: bool = False, **control: Any) -> Path:
    """Writes `demos` successful episodes; `control` is changed in the arm's controller. `upside_down`: pictures as robosuite returns them, not turned."""
    import robosuite

    rng = np.random.default_rng(seed)
    kwargs: dict[str, Any] = {
        "robots": ["Panda"], "controller_configs": controller(**control), "control_freq": hz, "has_renderer": False, "has_offscreen_renderer": True,
        "ignore_done": True, "use_object_obs": True, "use_camera_obs": True, "camera_names": list(CAMERAS), "camera_heights": size, "camera_widths": size,
        "camera_depths": False, "reward_shaping": False, "render_gpu_device_id": 0, "lite_physics": True,
    }  # fmt: skip
    env: Any = robosuite.make("Lift", **kwargs, seed=seed, renderer="mujoco")
    reach_m = kwargs["controller_configs"]["body_parts"]["right"]["output_max"][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data, number, total = file.create_group("data"), 0, 0
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "env_version": robosuite.__version__, "type": 1, "env_kwargs": kwargs}, indent=4)
        while number < demos:
            rows, model = episode(env, rng, noise, reach_m, hz)
            if not rows["rewards"][-1]:
                continue
            demo = data.create_group(f"demo_{number}")
            for name, values in rows.items():
                image = name.endswith("_image")
                demo.create_dataset(name, data=values[:, ::-1] if image and not upside_down else values, compression="gzip" if image else None)
            demo.attrs["num_samples"], demo.attrs["model_file"] = len(rows["actions"]), model
            number, total = number + 1, total + len(rows["actions"])
        data.attrs["total"] = total
        file["mask/train"] = np.array([f"demo_{i}" for i in range(demos)], dtype="S")
    env.close()
    return path


def episode(env: Any, rng: np.random.Generator, noise: float, reach_m: float, hz: int) -> tuple[dict[str, np.ndarray], str]:
    """The columns of one episode by their names in the file, and its model."""
    rows: dict[str, list[Any]] = {}
    seen = env.reset()
    model = env.sim.model.get_xml()
    env.sim.forward()
    seen = env._get_observations(force_update=True)
    done = 0
    while done < 3 and len(rows.get("actions", ())) < 6 * hz:
        action = expert(seen, reach_m)
        action[:6] = np.clip(action[:6] + noise * rng.normal(size=6) * (1, 1, 1, 0.3, 0.3, 0.3), -1, 1)
        put = {"actions": action, "states": np.array(env.sim.get_state().flatten()), "obs/object": seen["object-state"]}
        put |= {f"obs/robot0_{name}": seen[f"robot0_{name}"] for name in LOW_DIM} | {f"obs/{camera}_image": seen[f"{camera}_image"] for camera in CAMERAS}
        seen, reward, _, _ = env.step(action)
        done += reward > 0
        for name, value in (put | {"rewards": float(reward), "dones": int(reward > 0)}).items():
            rows.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in rows.items()}, model


if __name__ == "__main__":
    record(Path(sys.argv[1]), int(sys.argv[2]))
