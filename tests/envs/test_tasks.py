"""Every task keeps the same contract; the table tasks measure what they say they measure."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import envs
from envs.base import TaskEnv
from envs.experts import EXPERTS

TABLE = ("pick_at_xy", "place_left_of", "stack_centered")


@pytest.fixture(scope="module")
def made() -> Iterator[Callable[[str], TaskEnv]]:
    """One environment a task for all tests of this file."""
    kept: dict[str, TaskEnv] = {}

    def make(task: str) -> TaskEnv:
        if task not in kept:
            kept[task] = envs.make(task)
        return kept[task]

    yield make
    for env in kept.values():
        env.close()


@pytest.fixture(params=list(envs.TASKS))
def env(request: pytest.FixtureRequest, made: Callable[[str], TaskEnv]) -> TaskEnv:
    return made(request.param)


@pytest.fixture(params=TABLE)
def table(request: pytest.FixtureRequest, made: Callable[[str], TaskEnv]) -> TaskEnv:
    return made(request.param)


@pytest.fixture
def pick(made: Callable[[str], TaskEnv]) -> TaskEnv:
    return made("pick_at_xy")


@pytest.fixture
def place(made: Callable[[str], TaskEnv]) -> TaskEnv:
    return made("place_left_of")


@pytest.fixture
def stack(made: Callable[[str], TaskEnv]) -> TaskEnv:
    return made("stack_centered")


def at(env: TaskEnv, **cubes: tuple[float, float, float]) -> dict[str, object]:
    """The info of a state of the table with the cubes' centres at these points (metres, height above the table), all at rest."""
    env.reset(seed=0)
    state = env.get_state()
    for name, (x, y, height) in cubes.items():
        address = env.simulation.sim.model.get_joint_qpos_addr(f"{name}_joint0")[0]
        state[1 + address : 1 + address + 7] = [x, y, 0.8 + height, 1, 0, 0, 0]
    env.set_state(state)
    return env.step(np.array([0, 0, 0, 0, 0, 0, -1.0]))[4]


# ---- every task


def test_every_task_keeps_the_contract(env: TaskEnv) -> None:
    observation, info = env.reset(seed=100_001)
    assert env.task in EXPERTS
    assert env.observation_space.contains(observation)
    assert env.control_hz == 20
    assert env.task_version == "0"
    assert env.horizon == type(env.simulation).default_horizon
    assert env.scene_camera
    assert observation["instruction"] == type(env.simulation).instruction != ""
    assert {"success", "position_error_cm", "failure", "init_hash"} <= info.keys()
    assert ("is_relation_correct" in info) == hasattr(env.simulation, "is_relation_correct")
    assert np.isfinite(info["position_error_cm"])
    assert all(isinstance(value, np.ndarray) for key, value in info.items() if key.startswith("privileged/"))
    assert info["privileged/target_pos_world"].shape == (3,)
    assert inspect.getdoc(type(env.simulation)) != ""
    assert env.draw(env.scene_camera, 48, 64).std() > 5, "the scene camera sees something"
    assert all(frame.std() > 5 for frame in env.camera_frames())


def test_no_start_is_a_success_and_doing_nothing_never_is(env: TaskEnv) -> None:
    for episode in range(5):
        assert env.reset(seed=100_002, options={"episode": episode})[1]["success"] is False
    *_, terminated, truncated, info, executed = env.step_chunk(np.zeros((env.horizon + 5, env.action_dim)))
    assert (terminated, truncated, executed) == (False, True, env.horizon)
    assert info["success"] is False
    assert np.isfinite(info["position_error_cm"])


def test_proprio_stays_inside_its_bounds_and_does_not_tell_of_objects(env: TaskEnv) -> None:
    rng = np.random.default_rng(0)
    space = cast(spaces.Dict, env.observation_space)["proprio"]
    assert isinstance(space, spaces.Box)
    proprio = []
    for episode in range(2):
        env.reset(seed=100_003, options={"episode": episode})
        proprio.append(env.step_chunk(rng.uniform(-1, 1, (20, env.action_dim)))[0]["proprio"])
    assert all(space.contains(values) for values in proprio)
    assert np.isfinite([space.low, space.high]).all()


@pytest.mark.parametrize("task", list(envs.TASKS))
def test_gymnasium_is_content(task: str) -> None:
    made = gymnasium.make(envs.gymnasium_id(task))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(made.unwrapped, skip_render_check=True)
        made.reset(seed=1)
        assert made.render_mode == "rgb_array"
        assert cast(np.ndarray, made.render()).shape == (480, 640, 3)
    finally:
        made.close()


def test_robosuite_finds_the_tasks() -> None:
    import robosuite

    import envs.tasks

    for task in envs.TASKS:
        assert envs.task_class(task) is robosuite.environments.base.REGISTERED_ENVS[envs.TASKS[task].partition(":")[2]]
    stock = robosuite.make("PickAtXY", seed=3)
    stock.reset()
    *_, reward, done, _ = stock.step(np.zeros(7))
    assert (reward, done) == (0.0, False)
    stock.close()


# ---- the table tasks


def test_starts_cover_the_region(table: TaskEnv) -> None:
    rng = np.random.default_rng(0)
    starts = [table.simulation.sample_start(rng) for _ in range(400)]
    poses = np.array([list(start.values()) for start in starts])  # (starts, cubes, 3)
    extent = poses[..., :2].max((0, 1)) - poses[..., :2].min((0, 1))
    assert (extent > 0.30).all(), "at least 30 × 30 cm"
    assert 0.28 < np.abs(poses[..., 2]).max() <= 0.3
    gaps = np.linalg.norm(poses[:, :, None, :2] - poses[:, None, :, :2], axis=-1) + np.eye(poses.shape[1])
    assert gaps.min() >= 0.06
    assert 3 < len({np.round(value, 6) for value in poses[:, 0, 0]}), "starts differ"


def test_the_region_lies_in_the_picture(table: TaskEnv) -> None:
    from envs.tasks.table import REGION_X_M, REGION_Y_M

    table.reset(seed=0)
    corners = np.array([[x, y, z] for x in REGION_X_M for y in REGION_Y_M for z in (0.8, 0.9)])
    pixels = table.project("agentview", corners, 96, 96)
    assert (pixels > 3).all()
    assert (pixels < 93).all()
    width = table.project("agentview", np.array([[0, -0.02, 0.84], [0, 0.02, 0.84]]), 96, 96)[:, 0]
    assert abs(width[1] - width[0]) > 8, "a cube is at least 8 pixels wide"


def test_left_is_left_in_the_scene_camera(table: TaskEnv) -> None:
    from envs.tasks.table import LEFT_WORLD

    table.reset(seed=0)
    here = np.array([0.0, 0.0, 0.82])
    pixels = table.project("agentview", np.stack([here, here + 0.1 * np.array(LEFT_WORLD)]), 96, 96)
    assert pixels[1, 0] < pixels[0, 0] - 10
    assert abs(pixels[1, 1] - pixels[0, 1]) < 0.5, "and neither nearer nor farther"


def test_the_zero_action_keeps_the_gripper_where_it_is(table: TaskEnv) -> None:
    _, info = table.reset(seed=1)
    *_, after, _ = table.step_chunk(np.zeros((20, 7)))
    assert abs(after["privileged/gripper_width_m"] - 0.08) < 1e-3
    assert np.abs(after["privileged/gripper_pos_world"] - info["privileged/gripper_pos_world"]).max() < 1e-3


def test_the_first_closing_command_counts(pick: TaskEnv) -> None:
    _, info = pick.reset(seed=100_004)
    wide = info["position_error_cm"]
    gripper, target = info["privileged/gripper_pos_world"], info["privileged/target_pos_world"]
    assert wide == pytest.approx(100 * np.linalg.norm((gripper - target)[:2]))
    moved = pick.step_chunk(np.tile([1, 0, 0, 0, 0, 0, -1.0], (6, 1)))[4]
    assert moved["position_error_cm"] != pytest.approx(wide, abs=0.5), "without a command it is the present distance"
    closing = pick.step(np.array([1, 0, 0, 0, 0, 0, 1.0]))[4]
    assert closing["position_error_cm"] == moved["position_error_cm"], "where the gripper was when the command came"
    later = pick.step_chunk(np.tile([1, 0, 0, 0, 0, 0, -1.0], (6, 1)))[4]
    assert later["position_error_cm"] == moved["position_error_cm"], "and it stays"


def test_a_lift_after_a_wrong_first_closing_is_no_success(pick: TaskEnv) -> None:
    for first_closing, wins in ((-1.0, True), (1.0, False)):
        _, info = pick.reset(seed=100_005)
        _, _, info = pick.advance(np.array([0, 0, 0, 0, 0, 0, first_closing]))
        expert, done = EXPERTS["pick_at_xy"](), False
        while not done and not (info["privileged/target_pos_world"][2] > 0.95 and not wins):
            terminated, truncated, info = pick.advance(expert.act(info))
            done = terminated or truncated
        assert info["privileged/target_pos_world"][2] > 0.86, "it was lifted"
        assert info["success"] is wins


@pytest.mark.parametrize(
    ("target", "success", "relation"),
    [
        ((0.0, -0.08, 0.02), True, True),
        ((0.0, -0.052, 0.02), True, True),
        ((0.0, -0.118, 0.02), True, True),
        ((0.028, -0.08, 0.02), True, True),
        ((0.032, -0.08, 0.02), False, True),
        ((0.0, -0.125, 0.02), False, True),
        ((0.0, 0.08, 0.02), False, False),
        ((0.0, -0.08, 0.06), False, True),  # still falling
    ],
)
def test_place_left_of_measures_the_spot(place: TaskEnv, target: tuple[float, float, float], success: bool, relation: bool) -> None:
    info = at(place, target=target, reference=(0.0, 0.0, 0.02))
    assert info["success"] is success
    assert info["is_relation_correct"] is relation
    assert info["position_error_cm"] == pytest.approx(100 * np.hypot(target[0], target[1] + 0.08), abs=0.05)


@pytest.mark.parametrize(("target", "success"), [((0.0, 0.0, 0.07), True), ((0.014, 0.0, 0.07), True), ((0.0, 0.016, 0.07), False), ((0.0, 0.1, 0.02), False)])
def test_stack_centered_measures_the_centres(stack: TaskEnv, target: tuple[float, float, float], success: bool) -> None:
    info = at(stack, target=target, reference=(0.0, 0.0, 0.025))
    assert info["success"] is success
    assert info["position_error_cm"] == pytest.approx(100 * np.hypot(*target[:2]), abs=0.05)


def test_a_held_cube_is_not_released(stack: TaskEnv) -> None:
    expert, info = EXPERTS["stack_centered"](), stack.reset(seed=100_006)[1]
    assert stack.simulation.is_released("target")
    while info["privileged/target_pos_world"][2] < 0.86:
        _, _, info = stack.advance(expert.act(info))
    assert not stack.simulation.is_released("target")
    assert stack.simulation.is_released("reference")


def test_yaw_is_that_of_a_square(stack: TaskEnv) -> None:
    for start_yaw in (-0.3, 0.0, 0.2, 0.3):
        stack.reset(seed=0)
        stack.simulation.set_start({"target": np.array([0, 0, start_yaw]), "reference": np.array([0.1, 0.1, 0])})
        stack.simulation.sim.forward()
        assert stack.simulation.cube_yaw("target") == pytest.approx(start_yaw, abs=1e-6)
