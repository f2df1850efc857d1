"""What exports to robomimic say of the robot is what robosuite's own observables say, by their names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import envs
from envs.demos.episodes import write_episode
from envs.demos.formats.robot_state import MAX_DEPTH, robot_state
from tests.envs.demos.demo_files import made_up
from tests.envs.demos.test_convert import run

STEPS = 6
HAND = ("eef_pos", "eef_quat", "gripper_qpos")
SINGLE = 1e-6  # robosuite computes quaternions of matrices in single precision
# A robot of robosuite's names, as small as it goes: one joint, a hand on it, two fingers.
ROBOT = """
<mujoco><worldbody>
  <body name="robot0_base"><geom size="0.1"/>
    <body name="robot0_right_hand" pos="0.1 0 0" quat="0.6 0.8 0 0"><joint name="robot0_joint1" axis="0 0 1"/><geom size="0.01"/>
      <body name="gripper0_right_eef" pos="0 0 0.1"><site name="gripper0_right_grip_site" pos="0 0 0.02"/>
        <body name="gripper0_right_left"><joint name="gripper0_right_finger_joint1" type="slide"/><geom size="0.01"/></body>
        <body name="gripper0_right_right"><joint name="gripper0_right_finger_joint2" type="slide"/><geom size="0.01"/></body>
      </body></body></body>
</worldbody></mujoco>
"""


def observed(simulation: Any) -> dict[str, np.ndarray]:
    """robosuite's own observables of the robot, asked anew."""
    cache: dict[str, Any] = {}
    return {name: np.array(one._sensor(cache)) for name, one in simulation._observables.items() if name.startswith("robot") and one.modality != "image"}


@pytest.mark.parametrize("task", [*envs.TASKS, "robosuite/Lift", "robosuite/TwoArmLift"])
def test_as_robosuites_observables(task: str) -> None:
    env, rng = envs.make(task, size=16), np.random.default_rng(0)
    env.reset(seed=3)
    states, rows = [], []
    for _ in range(STEPS):
        states.append(env.get_state())
        rows.append(observed(env.simulation))
        env.step(rng.uniform(-1, 1, env.action_dim))
    found = robot_state(env.model_xml(), np.stack(states))
    env.close()
    robots = 2 if "TwoArm" in task else 1
    wanted = {f"robot{robot}_{part}" for robot in range(robots) for part in HAND}
    wanted |= {f"robot0_{part}" for part in ("base_pos", "base_quat", "base_to_eef_pos", "base_to_eef_quat")} if task == "navigate_to" else set()
    assert set(found) == wanted
    for name, values in found.items():
        np.testing.assert_allclose(values, np.stack([row[name] for row in rows]), atol=SINGLE, err_msg=name)


def test_a_robot_of_two_arms() -> None:
    import robosuite

    options: dict[str, Any] = {"has_renderer": False, "has_offscreen_renderer": False, "use_camera_obs": False, "renderer": "mujoco"}
    env: Any = robosuite.make("TwoArmLift", robots="Baxter", **options)
    env.reset()
    data = env.sim.data
    state = np.concatenate([[0.0], data.qpos, data.qvel])
    (found, own) = robot_state(env.model.get_xml(), state[None]), observed(env)
    env.close()
    assert set(found) == {f"robot0_{arm}_{part}" for arm in ("right", "left") for part in HAND}
    for name, values in found.items():
        np.testing.assert_allclose(values[0], own[name], atol=SINGLE, err_msg=name)


def small(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(2):
        episode = made_up(number, states=rng.normal(0, 0.1, (12, 7)))
        episode.attrs["model_file"] = ROBOT
        write_episode(folder / f"episode_{number}.hdf5", episode)
    return folder


def test_exports_have_it_beside_proprio(tmp_path: Path) -> None:
    with h5py.File(run(small(tmp_path / "demos"), tmp_path / "out.hdf5", "robomimic")) as opened:
        file: Any = opened
        for demo in file["data"].values():
            assert {name: demo[f"obs/robot0_{name}"].shape for name in HAND} == {"eef_pos": (12, 3), "eef_quat": (12, 4), "gripper_qpos": (12, 2)}
            np.testing.assert_array_equal(demo["obs/robot0_gripper_qpos"][:], demo["states"][:, 2:4])
            turn = demo["states"][:, 1] / 2  # about z, after the body's own turn: (x y z w) of (0.6 0.8 0 0) turned
            quat = np.stack([0.8 * np.cos(turn), -0.8 * np.sin(turn), 0.6 * np.sin(turn), 0.6 * np.cos(turn)], axis=1)
            np.testing.assert_allclose(demo["obs/robot0_eef_quat"][:], quat, atol=1e-12)
            assert "proprio" in demo["obs"] and "agentview_image" in demo["obs"]


def test_no_opengl_is_needed(tmp_path: Path) -> None:
    folder, out = small(tmp_path / "demos"), tmp_path / "out.hdf5"
    command = [sys.executable, "-m", "envs.demos.convert", f"src={folder}", f"out={out}", "to=robomimic"]
    done = subprocess.run(command, env={**os.environ, "MUJOCO_GL": "no_such_thing"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with h5py.File(out) as file:
        assert "robot0_eef_pos" in file["data/demo_0/obs"]  # type: ignore[operator]


NOTHING = {
    "no robot": "<mujoco/>",
    "not XML": "<mujoco>",
    "empty": "",
    "entities": '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + ROBOT,
    "another file": ROBOT.replace("<worldbody>", '<include file="/etc/passwd"/><worldbody>'),
    "copies": ROBOT.replace('<body name="robot0_base">', '<replicate count="1000000"><body name="robot0_base">').replace(
        "</body></body></body>", "</body></body></body></replicate>"
    ),
    "deep": ROBOT.replace("</worldbody>", "<body>" * (MAX_DEPTH + 2) + "</body>" * (MAX_DEPTH + 2) + "</worldbody>"),
    "a joint of no kind": ROBOT.replace('type="slide"', 'type="spring"'),
    "more joints": ROBOT.replace('<joint name="robot0_joint1" axis="0 0 1"/>', '<joint name="robot0_joint1"/><joint name="robot0_joint2"/>'),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_models_of_which_nothing_is_said(kind: str) -> None:
    assert robot_state(NOTHING[kind], np.zeros((2, 7))) == {}
    assert set(robot_state(ROBOT, np.zeros((2, 7)))) == {f"robot0_{name}" for name in HAND}
