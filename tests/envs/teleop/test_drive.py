"""What is asked for as it is seen: right, away and up in the picture; base and arm of the mobile robot, and that both are recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import envs
from envs.demos.episodes import read_episode
from envs.demos.replay import replay
from envs.demos.starts import Starts
from envs.teleop.device import Command
from envs.teleop.drive import ArmDrive, drive_for
from envs.teleop.mobile import MobileDrive
from envs.teleop.session import Session
from tests.envs.teleop.test_session import Hand
from whatwhere.errors import BadInput

RIGHT, AWAY, UP = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def table() -> Iterator[Any]:
    env = envs.make("pick_at_xy", size=32)
    yield env
    env.close()


@pytest.fixture(scope="module")
def floor() -> Iterator[Any]:
    env = envs.make("navigate_to", size=32)
    env.horizon = 1000
    yield env
    env.close()


def run(env: Any, drive: Any, command: Command, steps: int, closed: bool = False) -> None:
    for _ in range(steps):
        env.advance(drive.action(command, closed)[0])


@pytest.mark.parametrize(("move", "column", "row"), [(RIGHT, 1, 0), (AWAY, 0, -1), (UP, 0, -1)])
def test_the_arm_goes_where_the_picture_says(table: Any, move: tuple[float, float, float], column: int, row: int) -> None:
    table.reset(seed=0, options={"episode": 0})
    drive, before = drive_for(table), table.simulation.gripper_pos_world()
    run(table, drive, Command(move=move, speed=0.5), 10)
    after = table.simulation.gripper_pos_world()
    (x0, y0), (x1, y1) = table.project(table.scene_camera, np.stack([before, after]), 100, 100)
    assert (column * (x1 - x0) > 3) if column else abs(x1 - x0) < 2
    assert (row * (y1 - y0) > 3) if row else abs(y1 - y0) < 3
    assert after[2] - before[2] > 0.02 if move == UP else abs(after[2] - before[2]) < 0.01


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_turns_are_about_the_picture_s_axes_by_the_right_hand(table: Any, axis: int) -> None:
    from envs.experts.arm import rotation_vector
    from envs.teleop.drive import PICTURE_TO_ROBOT

    table.reset(seed=0, options={"episode": 0})
    drive, before = ArmDrive(), table.simulation.gripper_rot_world()
    run(table, drive, Command(turn=tuple(np.eye(3)[axis]), speed=0.5), 10)  # type: ignore[arg-type]
    turned = PICTURE_TO_ROBOT.T @ rotation_vector(table.simulation.gripper_rot_world() @ before.T)
    assert turned[axis] > 0.1 and np.abs(np.delete(turned, axis)).max() < 0.05
    assert np.linalg.det(PICTURE_TO_ROBOT) == pytest.approx(1)


def test_actions_are_scaled_clipped_and_grip() -> None:
    action, goal = ArmDrive().action(Command(move=(1, 0, -1), speed=0.5), closed=True)
    np.testing.assert_allclose(action, [0, 0.5, -0.5, 0, 0, 0, 1])
    assert action.dtype == np.float32 and goal is None
    assert ArmDrive().action(Command(), closed=False)[0][6] == -1
    np.testing.assert_array_equal(ArmDrive().action(Command(action=np.full(7, 3.0)), False)[0], np.ones(7))


def test_other_robots_are_refused() -> None:
    class Strange:
        simulation, task, action_dim = object(), "strange", 4

    with pytest.raises(BadInput, match="its actions have 4"):
        drive_for(Strange())


def hand_in_base(env: Any) -> np.ndarray:
    """Ahead, left and up of the base's centre."""
    x, y, heading = env.simulation.base_pose()
    point = env.simulation.sim.data.site_xpos[env.simulation.robots[0].eef_site_id["right"]]
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([cos * (point[0] - x) + sin * (point[1] - y), -sin * (point[0] - x) + cos * (point[1] - y), point[2]])


def test_base_and_arm_are_both_driven(floor: Any) -> None:
    floor.reset(seed=0, options={"episode": 0})
    drive = drive_for(floor)
    assert isinstance(drive, MobileDrive) and drive.mobile and drive.drives == "base"
    folded, pose = hand_in_base(floor), floor.simulation.base_pose()
    run(floor, drive, Command(move=AWAY, speed=0.5), 10)
    ahead = floor.simulation.base_pose() - pose
    assert np.hypot(*ahead[:2]) > 0.1 and abs(ahead[2]) < 0.02
    assert np.cos(pose[2]) * ahead[0] + np.sin(pose[2]) * ahead[1] > 0.1
    run(floor, drive, Command(turn=(0, 0, 1), speed=0.5), 10)
    assert floor.simulation.base_pose()[2] - pose[2] > 0.1
    run(floor, drive, Command(), 10)
    assert np.abs(hand_in_base(floor) - folded).max() < 0.01
    drive.switch()
    pose = floor.simulation.base_pose()
    for move, axis, sign in ((AWAY, 0, 1), (UP, 2, 1), (RIGHT, 1, -1)):
        before = hand_in_base(floor)
        run(floor, drive, Command(move=move, speed=0.5), 15)
        run(floor, drive, Command(), 5)
        moved = hand_in_base(floor) - before
        assert sign * moved[axis] > 0.1 and np.abs(np.delete(moved, axis)).max() < 0.03
    assert np.abs(floor.simulation.base_pose() - pose).max() < 0.005
    fingers = [floor.simulation.sim.model.get_joint_qpos_addr(f"gripper0_right_finger_joint{number}") for number in (1, 2)]
    wide = float(np.ptp(floor.simulation.sim.data.qpos[fingers]))
    run(floor, drive, Command(), 20, closed=True)
    assert float(np.ptp(floor.simulation.sim.data.qpos[fingers])) < wide - 0.02


def test_an_untouched_arm_leaves_the_task_as_it_was(floor: Any) -> None:
    """The drive adds nothing to an episode in which only the base is driven."""
    floor.reset(seed=1, options={"episode": 0})
    drive = drive_for(floor)
    run(floor, drive, Command(move=AWAY, speed=0.6), 10)
    driven = floor.get_state()
    floor.reset(seed=1, options={"episode": 0})
    for _ in range(10):
        floor.advance(np.array([0.6, 0, 0], np.float32))
    np.testing.assert_array_equal(floor.get_state(), driven)


def test_a_moved_arm_is_in_the_recording_and_replays_exactly(floor: Any, tmp_path: Path) -> None:
    hand = Hand()
    session = Session(floor, hand, Starts(tmp_path), n=1, seed=0, attrs={"source": "browser"}, view=32, say=lambda line: None)
    session.pace._sleep = lambda seconds: None
    session.begin()

    def do(command: Command, times: int = 1) -> None:
        for _ in range(times):
            hand.commands = [command]
            session.tick()

    do(Command(buttons=("start",)))
    do(Command(move=AWAY), 5)
    do(Command(buttons=("drive",)))
    do(Command(move=(0, 1, 1)), 8)
    do(Command(buttons=("gripper",)))
    do(Command(buttons=("drive",)))
    do(Command(move=AWAY, turn=(0, 0, 1)), 6)
    resumed = Session(floor, hand, Starts(tmp_path), n=1, seed=0, attrs={"source": "browser"}, view=32, recover="true", say=lambda line: None)
    resumed.pace._sleep = lambda seconds: None
    state = floor.get_state()
    resumed.begin()
    np.testing.assert_array_equal(floor.get_state(), state)
    session = resumed
    assert session.status().closed and session.status().mobile
    do(Command(buttons=("save",)))
    do(Command(buttons=("save",)))
    episode = read_episode(tmp_path / "failed" / "episode_0.hdf5")
    assert episode.actions.shape[1] == 3 and len(episode.attrs["arm_goals"]) == 9
    assert replay(floor, episode).drift == 0
    without = replay(floor, type(episode)(**{**vars(episode), "attrs": {**episode.attrs, "arm_goals": []}}))
    assert without.drift > 0.05
