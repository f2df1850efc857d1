"""Robosuite environments that know nothing of this package, under its contract."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import envs
from envs.base import TaskEnv
from envs.control import FastControl, largest_difference
from envs.foreign.stock import STOCK
from whatwhere.errors import BadInput

STARTS = """
import json, envs
task = "robosuite/PickPlaceSingle"
env = envs.make(task)
print(json.dumps([env.reset(seed=4, options={"episode": i})[1]["init_hash"] for i in (0, 1, 2)]))
"""


@pytest.fixture(scope="module")
def lift() -> Iterator[TaskEnv]:
    env = envs.make("robosuite/Lift")
    yield env
    env.close()


@pytest.fixture(scope="module")
def own() -> Iterator[TaskEnv]:
    env = envs.make("tests.envs.foreign.own_robosuite:HoverCube")
    yield env
    env.close()


def test_all_of_robosuite_is_listed() -> None:
    import robosuite

    names = {name for name, found in robosuite.environments.base.REGISTERED_ENVS.items() if found.__module__.startswith("robosuite.")}
    assert names == set(STOCK)


def test_lift_keeps_the_contract(lift: TaskEnv) -> None:
    observation, info = lift.reset(seed=1)
    assert lift.observation_space.contains(observation)
    assert (lift.task_version, lift.horizon, lift.control_hz, lift.instruction) == ("0", 100, 20, "lift")
    assert lift.cameras == ("agentview", "robot0_eye_in_hand")
    assert observation["proprio"].shape == (11,)
    assert info["success"] is False and info["failure"] is None
    assert 0 < info["position_error_cm"] < 20
    assert info["privileged/cube_pos"].shape == (3,)
    assert not any(key.startswith("privileged/") for key in observation)
    assert lift.step(np.full(7, np.nan))[4]["failure"] == "bad_action"


def test_a_start_is_a_function_of_seed_and_episode(lift: TaskEnv) -> None:
    first, info = lift.reset(seed=5, options={"episode": 3})
    state = lift.get_state()
    lift.reset(seed=9)
    lift.step_chunk(np.full((10, 7), 0.5))
    again, info_again = lift.reset(seed=5, options={"episode": 3})
    assert np.array_equal(first["frames"], again["frames"]) and np.array_equal(state, lift.get_state())
    assert info["init_hash"] == info_again["init_hash"] != lift.reset(seed=5)[1]["init_hash"]


def test_a_chunk_is_its_steps_and_a_state_can_be_gone_back_to(lift: TaskEnv) -> None:
    actions = np.random.default_rng(2).uniform(-1, 1, (9, 7))
    lift.reset(seed=3)
    start = lift.get_state()
    stepped = [lift.step(action)[0] for action in actions][-1]
    end = lift.get_state()
    lift.reset(seed=3)
    chunked = lift.step_chunk(actions)[0]
    assert np.array_equal(stepped["frames"], chunked["frames"]) and np.array_equal(end, lift.get_state())
    lift.reset(seed=3)
    lift.set_state(start)
    lift.step_chunk(actions)
    assert np.array_equal(end, lift.get_state())


def test_fast_control_stays_with_stock(lift: TaskEnv) -> None:
    task = lift.simulation
    task.reset()
    control = FastControl(task)
    control.reset()
    assert control.is_fast
    assert largest_difference(task, control, np.random.default_rng(0).uniform(-1, 1, (40, 7))) == (0.0, 0.0)


def test_proprio_names_no_object(lift: TaskEnv) -> None:
    lift.reset(seed=3)
    before = lift.simulation.proprio()
    task = lift.simulation
    task.sim.data.set_joint_qpos(task.cube.joints[0], [0.1, 0.1, 0.9, 1, 0, 0, 0])
    task.sim.forward()
    assert np.array_equal(before, task.proprio())


@pytest.mark.slow
def test_the_start_of_a_task_that_draws_names_does_not_depend_on_the_process() -> None:
    """robosuite chooses among the elements of a set of names, whose order is another one in each process."""
    said = [
        subprocess.run([sys.executable, "-c", STARTS], env={**_environment(), "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2", "3")
    ]
    assert len(set(said)) == 1
    assert len(set(json.loads(said[0]))) == 3


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


@pytest.mark.slow
def test_door_starts_differ_though_its_joints_do_not() -> None:
    env = envs.make("robosuite/Door", size=32)
    hashes = [env.reset(seed=1, options={"episode": i})[1]["init_hash"] for i in (0, 1, 0)]
    _, info = env.reset(seed=1)
    assert hashes[0] == hashes[2] == info["init_hash"] != hashes[1]
    assert info["position_error_cm"] is None
    env.close()


@pytest.mark.slow
def test_two_robots_are_one_action() -> None:
    env = envs.make("robosuite/TwoArmLift", size=32)
    observation, _ = env.reset(seed=1)
    assert env.cameras == ("agentview", "robot0_eye_in_hand", "robot1_eye_in_hand")
    assert env.action_dim == 14 and observation["proprio"].shape == (22,)
    assert env.step(np.full(14, 0.3))[4]["failure"] is None
    env.close()


@pytest.mark.slow
def test_pictures_do_not_change_the_physics(lift: TaskEnv) -> None:
    exact = envs.make("robosuite/Lift", rendering="exact")
    actions = np.random.default_rng(1).uniform(-1, 1, (20, 7))
    seen: list[Any] = []
    for env in (lift, exact):
        env.reset(seed=3)
        seen.append((env.step_chunk(actions)[0]["frames"].astype(float), env.get_state()))
    assert np.array_equal(seen[0][1], seen[1][1])
    assert 0 < np.abs(seen[0][0] - seen[1][0]).mean() < 10
    exact.close()


def test_what_a_class_says_itself_goes_before_what_we_would_say(own: TaskEnv) -> None:
    _, info = own.reset(seed=1)
    assert (own.task, own.name, own.task_version, own.horizon, own.instruction) == (
        "tests.envs.foreign.own_robosuite:HoverCube",
        "HoverCube",
        "3",
        40,
        "bring the hand over the cube",
    )
    assert own.cameras == ("frontview",)
    assert info["position_error_cm"] == own.simulation.position_error_cm()
    info = own.step_chunk(np.zeros((40, 7)))[4]
    assert info["success"] == (info["position_error_cm"] < 4)


def test_a_picture_drawn_late_has_the_looks_of_its_time(own: TaskEnv) -> None:
    """The cube of this task turns greener at each step, as the dirt of Wipe goes away."""
    actions = np.zeros((3, 7))
    own.reset(seed=1)
    for action in actions:
        stepped = own.step(action)[0]["frames"]
    own.reset(seed=1)
    assert np.array_equal(stepped, own.step_chunk(actions)[0]["frames"])
    assert not np.array_equal(stepped[:, 0], stepped[:, 1])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("OwnStep", "has a step\\(\\) of its own"),
        ("Closed", "let its constructor pass \\*\\*options on"),
        ("Odd", "version is 'two'"),
        ("Nothing", "no environment of robosuite .* or gymnasium"),
    ],
)
def test_what_cannot_be_run_is_refused(name: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        envs.make(f"tests.envs.foreign.own_robosuite:{name}")
