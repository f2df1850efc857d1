"""The fast control loop against robosuite's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

robosuite = pytest.importorskip("robosuite")

from envs.control import FastControl, compare, largest_difference, laws, steps_per_second, torques  # noqa: E402

STEPS = 200
BOUND = 1e-10  # the promise; what is seen is 0.0
SCENES = {"lift": ("Lift", "Panda"), "stack": ("Stack", "Panda"), "mobile": ("Lift", "PandaOmron")}


def make(task: str, robot: str, **options: Any) -> Any:
    options = {"ignore_done": True, "hard_reset": False, **options}
    return robosuite.make(task, robots=robot, has_renderer=False, has_offscreen_renderer=False, use_camera_obs=False, renderer="mujoco", seed=0, **options)


@pytest.fixture(scope="module", params=SCENES)
def env(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = make(*SCENES[request.param])
    yield made
    made.close()


@pytest.fixture(scope="module")
def lift() -> Iterator[Any]:
    made = make("Lift", "Panda")
    yield made
    made.close()


@pytest.fixture
def control(env: Any) -> FastControl:
    return fresh(env)


def fresh(env: Any) -> FastControl:
    env.reset()
    control = FastControl(env)
    control.reset()
    return control


def random_actions(env: Any, steps: int, *, seed: int = 0, reach: float = 1.3) -> np.ndarray:
    """Actions beyond the limits too, so that clipping is exercised."""
    return np.random.default_rng(seed).uniform(-reach, reach, (steps, env.action_dim))


def trajectory(env: Any, step: Any, actions: np.ndarray) -> np.ndarray:
    states = []
    for action in actions:
        step(np.array(action))
        states.append(np.concatenate((env.sim.data.qpos, env.sim.data.qvel, env.sim.data.ctrl)))
    return np.array(states)


def test_random_actions_stay_with_stock(env: Any, control: FastControl) -> None:
    assert control.is_fast
    qpos, qvel = largest_difference(env, control, random_actions(env, STEPS))
    assert qpos <= BOUND and qvel <= BOUND


def test_stock_and_fast_agree_from_env_reset_on(env: Any) -> None:
    """Two resets with the same noise; the first substep of a fresh robosuite episode is special."""
    control, actions = FastControl(env), random_actions(env, 100, seed=8)
    seeded = env.rng.bit_generator.state
    env.reset()
    stock = trajectory(env, env.step, actions)
    env.rng.bit_generator.state = seeded
    env.reset()
    control.reset()
    fast = trajectory(env, control.step, actions)
    assert np.abs(fast - stock).max() <= BOUND


def test_held_actions_into_joint_limits_and_table_stay_with_stock(env: Any, control: FastControl) -> None:
    actions = np.repeat(random_actions(env, STEPS // 25, seed=1), 25, axis=0)
    actions[: STEPS // 2, 2] = -1.0
    qpos, qvel = largest_difference(env, control, actions)
    assert qpos <= BOUND and qvel <= BOUND


def test_a_stretched_arm_stays_with_stock(env: Any, control: FastControl) -> None:
    robot = env.robots[0]
    arm = robot.part_controllers["right"].qpos_index
    env.sim.data.qpos[arm] = [0.0, 0.0, 0.0, -0.07, 0.0, 0.0, 0.0]
    env.sim.forward()
    control.reset()
    actions = random_actions(env, 50, seed=2)
    actions[:, 2] = 1.0
    qpos, qvel = largest_difference(env, control, actions)
    assert qpos <= BOUND and qvel <= BOUND


@pytest.mark.parametrize("env", ["mobile"], indirect=True)
@pytest.mark.parametrize("moving", ["base", "arm", "both"])
@pytest.mark.parametrize("mode", [-1.0, 1.0])
def test_mobile_robot_stays_with_stock(env: Any, control: FastControl, moving: str, mode: float) -> None:
    robot = env.robots[0]
    actions = np.zeros((60, env.action_dim))
    for part in {"base": ["base"], "arm": ["right", "right_gripper", "torso"], "both": robot.part_controllers}[moving]:
        start, end = robot._action_split_indexes[part]
        actions[:, start:end] = random_actions(env, 60, seed=3)[:, start:end]
    actions[:, -1] = mode  # arm goals follow the achieved (-1) or the desired (1) pose
    before = np.array(env.sim.data.qpos)
    qpos, qvel = largest_difference(env, control, actions)
    assert qpos <= BOUND and qvel <= BOUND
    trajectory(env, control.step, actions)
    assert np.abs(env.sim.data.qpos - before).max() > 0.05  # it did move


def test_reset_changes_nothing_after_env_reset(env: Any) -> None:
    control = FastControl(env)
    env.reset()
    trajectory(env, control.step, random_actions(env, 5))
    env.reset()
    before = control.state()
    control.reset()
    assert control.state() == before


def test_reset_depends_on_the_present_pose_alone(env: Any) -> None:
    control = FastControl(env)
    env.reset()
    pose = np.array(env.sim.data.qpos)
    states = []
    for _ in range(2):
        env.reset()  # draws other joint noise
        env.sim.data.qpos[:], env.sim.data.qvel[:] = pose, 0.0
        control.reset()
        states.append(control.state()["robots"])
    assert states[0] == states[1]
    assert states[0][0]["parts"]["right"]["initial_joint"] == pose[env.robots[0].part_controllers["right"].qpos_index].tolist()


def test_repetition_gives_the_same_bytes(env: Any, control: FastControl) -> None:
    start, actions = control.state(), random_actions(env, 60, seed=4)
    first = trajectory(env, control.step, actions)
    control.restore(start)
    assert trajectory(env, control.step, actions).tobytes() == first.tobytes()


def test_restore_in_the_middle_gives_the_same_bytes(env: Any, control: FastControl) -> None:
    actions = random_actions(env, 40, seed=5)
    trajectory(env, control.step, actions[:20])
    middle = json.loads(json.dumps(control.state()))
    timestep = env.timestep
    rest = trajectory(env, control.step, actions[20:])
    fresh(env)
    control.restore(middle)
    assert env.timestep == timestep and env.sim.data.time == middle["physics"][0]
    assert trajectory(env, control.step, actions[20:]).tobytes() == rest.tobytes()


def test_stock_and_fast_steps_may_be_mixed(env: Any, control: FastControl) -> None:
    start, actions = control.state(), random_actions(env, 30, seed=6)
    stock = trajectory(env, env.step, actions)
    control.restore(start)
    mixed = np.concatenate([trajectory(env, control.step if i % 2 else env.step, actions[i : i + 1]) for i in range(30)])
    assert np.abs(mixed - stock).max() <= BOUND


def test_a_new_simulation_is_found() -> None:
    env = make("Lift", "Panda", hard_reset=True)
    control = FastControl(env)
    env.reset()  # compiles another model
    qpos, qvel = largest_difference(env, control, random_actions(env, 5))
    assert qpos <= BOUND and qvel <= BOUND
    env.close()


def test_the_given_action_is_left_alone(env: Any, control: FastControl) -> None:
    action = random_actions(env, 1)[0]
    given = action.copy()
    control.step(action)
    assert np.array_equal(action, given)


def test_bad_actions_and_states_are_refused(lift: Any) -> None:
    control = fresh(lift)
    before = np.array(lift.sim.data.qpos)
    for action in (np.zeros(6), np.zeros((1, 7)), np.full(7, np.nan)):
        with pytest.raises(ValueError, match="needs 7 finite numbers"):
            control.step(action)
    state = control.state()
    with pytest.raises(ValueError, match="physics has shape"):
        control.restore({**state, "physics": state["physics"][:-1]})
    with pytest.raises(ValueError, match="controllers"):
        control.restore({**state, "robots": [{"parts": {"left": {}}, "grippers": {}}]})
    assert np.array_equal(lift.sim.data.qpos, before)


def test_other_controllers_run_robosuites_loop() -> None:
    config = robosuite.load_composite_controller_config(robot="Panda")
    config["body_parts"]["right"]["interpolation"] = "linear"
    env = make("Lift", "Panda", controller_configs=config)
    actions = random_actions(env, 10)
    trajectories = []
    for fast in (False, True):
        env.rng.bit_generator.state = np.random.PCG64(7).state  # in place: placement samplers hold a reference
        control = fresh(env)
        assert not control.is_fast
        trajectories.append(trajectory(env, control.step if fast else env.step, actions))
    assert trajectories[0].tobytes() == trajectories[1].tobytes()
    env.close()


def test_other_rounding_runs_robosuites_loop(lift: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "rounds_like_numpy", lambda joints, nv, arm: False)
    assert not fresh(lift).is_fast


@pytest.mark.parametrize("kernels", ["Haswell", "SkylakeX"])
def test_the_mobile_robot_is_fast_with_either_kernels_of_openblas(kernels: str) -> None:
    """Those for AVX-512 sum in another order, also where only a torso of one joint is concerned."""
    if kernels == "SkylakeX" and " avx512f " not in Path("/proc/cpuinfo").read_text():
        pytest.skip("needs AVX-512")
    asked = "from envs.control.torques import rounds_like_numpy as same; print(same(7, 33, arm=True), same(1, 33, arm=False))"
    done = subprocess.run([sys.executable, "-c", asked], env=os.environ | {"OPENBLAS_CORETYPE": kernels}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_an_unwritable_cache_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locator(function: Any) -> Any:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(torques, "jit_decorator", no_locator)
    assert torques.compiled(lambda x: x + 1)(1) == 2


def test_it_is_faster(lift: Any) -> None:
    measured = compare(lift, seconds=0.1, rounds=7, steps=20)
    assert measured["is_fast"] and measured["qpos_difference"] <= BOUND and measured["qvel_difference"] <= BOUND
    assert measured["ratio"] > 2.0  # 3.5 on a quiet machine


def test_timing_needs_an_endless_episode(lift: Any) -> None:
    lift.ignore_done = False
    try:
        with pytest.raises(ValueError, match="ignore_done"):
            steps_per_second(lift, lift.step, 0.1)
    finally:
        lift.ignore_done = True
