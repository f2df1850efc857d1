"""What others' actions mean: only relative end-effector poses become demonstrations, other units are converted, and `inspect` says what they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from envs.demos import inspect
from envs.demos.episodes import Episode, read_episode
from envs.demos.formats import Reading, open_source
from tests.envs.demos.demo_files import write_folder, write_robomimic
from tests.envs.demos.test_convert import read, run
from whatwhere.command import parse
from whatwhere.errors import BadInput

REACH = [0.05, 0.05, 0.05, 0.5, 0.5, 0.5]
# As robomimic's own datasets say it, of robosuite 1.4 and of 1.5.
EARLY: dict[str, Any] = {
    "type": "OSC_POSE", "input_max": 1, "input_min": -1, "output_max": REACH, "output_min": [-x for x in REACH], "kp": 150, "damping": 1,
    "impedance_mode": "fixed", "kp_limits": [0, 300], "damping_limits": [0, 10], "position_limits": None, "orientation_limits": None,
    "uncouple_pos_ori": True, "control_delta": True, "interpolation": None, "ramp_ratio": 0.2,
}  # fmt: skip
PART: dict[str, Any] = {key: value for key, value in EARLY.items() if key != "control_delta"} | {
    "input_type": "delta", "input_ref_frame": "base", "gripper": {"type": "GRIP"},
}  # fmt: skip


def early(**changes: Any) -> dict[str, Any]:
    """`env_args` of robosuite 1.4."""
    return {"env_version": "1.4.1", "env_kwargs": {"controller_configs": EARLY | changes, "control_freq": 20, "robots": ["Panda"]}}


def late(**changes: Any) -> dict[str, Any]:
    """Of 1.5, the arm among others."""
    return {
        "env_version": "1.5.1",
        "env_kwargs": {"controller_configs": {"type": "BASIC", "body_parts": {"right": PART | changes}}, "control_freq": 20, "robots": ["Panda"]},
    }


def nested(**changes: Any) -> dict[str, Any]:
    """Of 1.5, as robosuite's own JSON files have it."""
    args = late(**changes)
    args["env_kwargs"]["controller_configs"]["body_parts"] = {"arms": args["env_kwargs"]["controller_configs"]["body_parts"]}
    return args


def two_arms(left: dict[str, Any]) -> dict[str, Any]:
    return {"env_kwargs": {"controller_configs": {"type": "BASIC", "body_parts": {"right": PART, "left": PART | left}}}}


def file_of(folder: Path, args: dict[str, Any], numbers: int = 7, **more: Any) -> Path:
    path = write_robomimic(folder / "lift.hdf5", demos=1)
    with h5py.File(path, "r+") as opened:
        file: Any = opened
        file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1} | args | more)
        actions = 0.9 * file["data/demo_8/actions"][:]
        del file["data/demo_8/actions"]
        file["data/demo_8/actions"] = np.resize(actions, (len(actions), numbers))
    return path


def raw(path: Path) -> np.ndarray:
    with h5py.File(path) as opened:
        file: Any = opened
        return file["data/demo_8/actions"][:]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "control_delta": (early(control_delta=False), "OSC_POSE are absolute"),
    "control_delta in 1.5": (late(control_delta=False), "OSC_POSE are absolute"),
    "absolute": (late(input_type="absolute"), "OSC_POSE are absolute"),
    "absolute, nested": (nested(input_type="absolute"), "OSC_POSE are absolute"),
    "absolute position": (late(type="OSC_POSITION", input_type="absolute", output_max=0.05, output_min=-0.05), "OSC_POSITION are absolute"),
    "joints": (early(type="JOINT_POSITION", output_max=0.05, output_min=-0.05), "the controller is JOINT_POSITION"),
    "joints in 1.5": (late(type="JOINT_POSITION", output_max=0.05, output_min=-0.05), "the controller is JOINT_POSITION"),
    "velocities": (nested(type="JOINT_VELOCITY"), "the controller is JOINT_VELOCITY"),
    "torques": (early(type="JOINT_TORQUE"), "the controller is JOINT_TORQUE"),
    "inverse kinematics": (early(type="IK_POSE"), "the controller is IK_POSE"),
    "somebody's own": (early(type="MY_CONTROL"), "the controller is MY_CONTROL"),
    "position of 1.4": (early(type="OSC_POSITION", output_max=0.05, output_min=-0.05), "holds one orientation"),
    "variable": (early(impedance_mode="variable_kp"), "impedance_mode='variable_kp'"),
    "whole body": ({"env_kwargs": {"controller_configs": {"type": "WHOLE_BODY_IK", "body_parts": {"right": PART}}}}, "the controller is WHOLE_BODY_IK"),
    "left arm": (
        {"env_kwargs": {"controller_configs": {"type": "BASIC", "body_parts": {"right": PART, "left": PART | {"input_type": "absolute"}}}}},
        "absolute",
    ),
    "second robot": ({"env_kwargs": {"controller_configs": [EARLY, EARLY | {"control_delta": False}], "robots": ["Panda", "Panda"]}}, "absolute"),
    "gripper": (late(gripper={"type": "JOINT_POSITION"}), "gripper="),
    "not said in 1.4": ({"env_version": "1.4.1", "env_kwargs": {}}, "before 1.5 is JOINT_VELOCITY"),
    "a text": ({"env_kwargs": {"controller_configs": "OSC_POSE"}}, "controller_configs: needs an object"),
    "no arm": ({"env_kwargs": {"controller_configs": {"type": "BASIC", "body_parts": {"torso": {}}}}}, "needs right, left or both"),
    "neither": (late(input_type="relative"), "found 'base', 'relative'"),
    "no range": (early(input_max=-1), "input_min, input_max: need a range"),
    "not a number": (early(output_max=float("nan")), "output_max: needs a finite number"),
    "too few": (early(output_max=[0.05] * 3), "output_max: needs a finite number or 6"),
    "no rate": ({"env_kwargs": {"control_freq": 0}}, "control_freq: needs control steps a second"),
    "a long name": ({"env_name": "x" * 10_000}, "env_name: needs a text of 1 to 255 characters, found 'x"),
    "a name of numbers": ({"env_name": 5}, "env_name: needs a text of 1 to 255 characters, found 5"),
    "a rate of text": ({"env_kwargs": {"control_freq": "20"}}, "control_freq: needs control steps a second"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_actions_that_are_no_relative_poses_are_refused(tmp_path: Path, kind: str) -> None:
    args, message = WRONG[kind]
    path = file_of(tmp_path, args)
    assert np.abs(raw(path)).max() < 1  # so the numbers alone do not tell
    for reading in ({}, {"task": "pick_at_xy"}):
        with pytest.raises(BadInput, match=message) as refusal:
            read(path, **reading)
        assert "\n" not in str(refusal.value) and str(path) in str(refusal.value) and "env_args" in str(refusal.value)


REFUSED = """
import sys
from envs.demos.convert import Settings, main
from whatwhere.command import command
try:
    command("envs.conf", "convert", Settings, main, sys.argv[1:])
finally:
    print("imported:", *{"mujoco", "robosuite", "torch"} & set(sys.modules))
"""


def test_the_refusal_comes_before_a_simulator(tmp_path: Path) -> None:
    path = file_of(tmp_path, early(control_delta=False))
    command = [sys.executable, "-c", REFUSED, f"src={path}", f"out={tmp_path / 'out'}", "to=folder"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "imported:\n", 1), done.stderr
    assert done.stderr.startswith(f"{path}: env_args: the actions of OSC_POSE are absolute")
    assert not list((tmp_path / "out").glob("episode_*"))


@pytest.mark.parametrize("args", [early(), late(), nested(), early(damping_ratio=1), {"env_version": "1.5.1"}, {"env_kwargs": {}}])
def test_relative_poses_are_taken_as_they_are(tmp_path: Path, args: dict[str, Any]) -> None:
    path = file_of(tmp_path, args)
    (episode,) = read(path)
    np.testing.assert_array_equal(episode.actions, raw(path).astype(np.float32))


def metres_and_radians(episode: Episode) -> np.ndarray:
    """(t, 6): what the actions ask for in the environment that the episode says they are for."""
    said = episode.attrs["env_kwargs"]["controller_configs"]["body_parts"]["right"]
    assert (said["type"], said["input_type"], said["input_max"], said["input_min"]) == ("OSC_POSE", "delta", 1, -1)
    np.testing.assert_allclose(said["output_min"], -np.array(said["output_max"]))
    return episode.actions[:, :6] * said["output_max"]


UNITS: dict[str, tuple[dict[str, Any], float, float]] = {  # args, metres and radians that a number of 1 asks for
    "smaller": (early(output_max=[0.02] * 3 + [0.2] * 3, output_min=[-0.02] * 3 + [-0.2] * 3), 0.02, 0.2),
    "larger": (late(output_max=[0.1] * 3 + [1.0] * 3, output_min=[-0.1] * 3 + [-1.0] * 3), 0.1, 1.0),
    "wider input": (nested(input_max=10, input_min=-10), 0.005, 0.05),
}


@pytest.mark.parametrize("kind", UNITS)
def test_other_units_ask_for_the_same_steps(tmp_path: Path, kind: str) -> None:
    args, metres, radians = UNITS[kind]
    path = file_of(tmp_path, args)
    (episode,) = read(path)
    asked = raw(path)[:, :6] * ([metres] * 3 + [radians] * 3)
    np.testing.assert_allclose(metres_and_radians(episode), asked, atol=1e-8)
    np.testing.assert_array_equal(episode.actions[:, 6], raw(path)[:, 6].astype(np.float32))
    again = read(run(path, tmp_path / "again.hdf5", "robomimic"))[0]  # what is written says what it holds
    np.testing.assert_array_equal(again.actions, episode.actions)
    np.testing.assert_allclose(metres_and_radians(again), asked, atol=1e-8)


def test_a_task_of_ours_takes_its_own_units_only(tmp_path: Path) -> None:
    smaller, larger = file_of(tmp_path / "a", UNITS["smaller"][0]), file_of(tmp_path / "b", UNITS["larger"][0])
    (episode,) = read(smaller, task="pick_at_xy")
    np.testing.assert_allclose(episode.actions[:, :6] * REACH, raw(smaller)[:, :6] * ([0.02] * 3 + [0.2] * 3), atol=1e-8)
    with pytest.raises(BadInput, match=r"actions: ask for up to 0\.0\d+ m in a step, an action of this task for 0\.05 m at most|rad in a step"):
        read(larger, task="pick_at_xy")


def test_a_position_is_a_pose_without_a_turn(tmp_path: Path) -> None:
    path = file_of(tmp_path, late(type="OSC_POSITION", output_max=0.05, output_min=-0.05), numbers=4)
    (episode,) = read(path)
    assert episode.actions.shape[1] == 7
    np.testing.assert_allclose(episode.actions[:, :3], raw(path)[:, :3], atol=1e-7)
    assert not episode.actions[:, 3:6].any()
    np.testing.assert_array_equal(episode.actions[:, 6], raw(path)[:, 3].astype(np.float32))


@pytest.mark.parametrize(
    ("args", "numbers", "said"),
    [
        (early(control_delta=False), 7, "OSC_POSE, absolute, in the world frame, kp 150, 20 Hz"),
        (late(kp=300), 7, "OSC_POSE, relative, in the base frame, an action of 1 asks for 0.05 m, 0.5 rad, kp 300, 20 Hz"),
        (late(type="JOINT_POSITION", output_max=0.05), 8, "JOINT_POSITION, relative, 20 Hz"),
        ({"env_kwargs": {"control_freq": 10}}, 7, "not said, 10 Hz"),
    ],
)
def test_inspect_says_what_the_control_is(tmp_path: Path, capsys: pytest.CaptureFixture[str], args: dict[str, Any], numbers: int, said: str) -> None:
    path = file_of(tmp_path, args, numbers)
    inspect.main(parse("envs.conf", "inspect", inspect.Settings, [f"demos={path}", f"out={tmp_path / 'page.html'}", "starts=0"]))
    printed = capsys.readouterr().out
    assert f"control: {said}\n" in printed and said in (tmp_path / "page.html").read_text()
    refused = "absolute" in said or "JOINT" in said
    assert ("warning: not to be learnt from" in printed) == refused


def lerobot(folder: Path, **info: Any) -> Path:
    """A dataset of others: ours without what only we write."""
    there = run(write_folder(folder / "demos", 1), folder / "there", "lerobot", *(["pictures=video"] if "video_fps" in info else []))
    for name in ("whatwhere.jsonl", "whatwhere.json"):
        (there / "meta" / name).unlink()
    path = there / "meta/info.json"
    old = json.loads(path.read_text())
    if (names := info.pop("names", None)) is not None:
        old["features"]["action"]["names"] = names
    if (rate := info.pop("video_fps", None)) is not None:
        old["features"]["observation.images.agentview"]["info"]["video.fps"] = rate
    path.write_text(json.dumps(old | info))
    return there


JOINTS = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos", "x"]


@pytest.mark.parametrize("names", [JOINTS, {"motors": JOINTS}])
def test_lerobot_actions_named_after_joints_are_no_poses(tmp_path: Path, capsys: pytest.CaptureFixture[str], names: Any) -> None:
    there = lerobot(tmp_path, names=names, robot_type="so100")
    with pytest.raises(BadInput, match=r"actions are named shoulder_pan\.pos"):
        read(there, task="pick_at_xy")
    (episode,) = read(there)  # of no task that is known here, so nothing is claimed
    assert episode.attrs["control"].startswith("robot so100, shoulder_pan.pos")
    inspect.main(parse("envs.conf", "inspect", inspect.Settings, [f"demos={there}", f"out={tmp_path / 'page.html'}", "starts=0"]))
    assert "control: robot so100, shoulder_pan.pos" in capsys.readouterr().out


def test_lerobot_rates_must_agree(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"fps=10, but its timestamps are 0\.05 s apart"):
        read(lerobot(tmp_path / "a", fps=10))
    with pytest.raises(BadInput, match=r"fps=20, but observation.images.agentview is a video of 30 frames a second"):
        read(lerobot(tmp_path / "b", video_fps=30))


def test_inspect_shows_numbers_of_other_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_robomimic(tmp_path / "degrees.hdf5", demos=1)
    with h5py.File(path, "r+") as opened:
        file: Any = opened
        file["data/demo_8/actions"][2, 3] = 90
    inspect.main(parse("envs.conf", "inspect", inspect.Settings, [f"demos={path}", f"out={tmp_path / 'page.html'}", "starts=0"]))
    assert "warning: not to be learnt from: actions: needs values in [-1, 1], found 90" in capsys.readouterr().out


def test_what_is_read_to_look_at_is_not_converted(tmp_path: Path) -> None:
    path = file_of(tmp_path, UNITS["smaller"][0])
    with open_source(path, Reading(as_is=True)) as source:
        np.testing.assert_array_equal(source.episode(0).actions, raw(path).astype(np.float32))
    folder = run(path, tmp_path / "folder", "folder")
    assert np.abs(read_episode(folder / "episode_0.hdf5").actions[:, :6]).max() < 0.41
