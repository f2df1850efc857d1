"""Experts solve their tasks, from the present privileged state alone; knowing nothing does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import envs
from envs.base import TaskEnv
from envs.experts import EXPERTS, Expert, RandomPolicy, ZeroPolicy
from envs.experts.arm import DOWN, LATE_STEPS

SEED = 100_100

# Hashes of the starts 0 and 1 of seed 11, and the third action that noise makes of a steady 0.5: published rows and demonstrations rest on them.
ARM = [0.515866562802, 0.51650397756, 0.445569039326, 0.496241768235, 0.473774236793, 0.485137937577, 0.5]
KNOWN = {
    "pick_at_xy": (["64c6c6ea177e66f6", "03c38275c71e8364"], ARM),
    "place_left_of": (["fb5295da756f8559", "eeed14916a097eff"], ARM),
    "stack_centered": (["c913c7e2aa1ab16e", "5b5b384d0cbdbb66"], ARM),
    "navigate_to": (["3f4c26ef7584cfcc", "cb5e5c6b6528803a"], [0.382722337353, 0.710181637056, 0.237025041804]),
}


@pytest.fixture(scope="module", params=list(envs.TASKS))
def env(request: pytest.FixtureRequest) -> Iterator[TaskEnv]:
    env = envs.make(request.param)
    yield env
    env.close()


def play(env: TaskEnv, expert: Expert, episode: int) -> tuple[list[tuple[dict[str, Any], np.ndarray, np.ndarray]], dict[str, Any]]:
    """(info, action, executed) of each step and the last info."""
    _, info = env.reset(seed=SEED, options={"episode": episode})
    expert.reset()
    steps, done = [], False
    while not done:
        action = expert.act(info)
        executed = expert.perturb(action)
        steps.append((info, action, executed))
        terminated, truncated, info = env.advance(executed)
        done = terminated or truncated
    return steps, info


def test_every_task_has_an_expert() -> None:
    assert EXPERTS.keys() == envs.TASKS.keys()


def test_starts_and_noise_are_the_published_ones(env: TaskEnv) -> None:
    hashes, noisy = KNOWN[env.task]
    assert [env.reset(seed=11, options={"episode": i})[1]["init_hash"] for i in (0, 1)] == hashes, "another start is another version of the task"
    expert, steady = EXPERTS[env.task](noise=0.3, rng=np.random.default_rng(7)), np.full(env.action_dim, 0.5)
    assert [expert.perturb(steady) for _ in range(3)][-1] == pytest.approx(noisy, abs=1e-11)


def test_it_solves_its_task_in_time(env: TaskEnv) -> None:
    lengths = []
    for episode in range(4):
        steps, info = play(env, EXPERTS[env.task](), episode)
        assert info["success"], f"episode {episode}: {info['failure']}, {info['position_error_cm']:.2f} cm"
        lengths.append(len(steps))
    assert np.mean(lengths) < 0.65 * env.horizon


def test_it_is_a_function_of_the_present_state(env: TaskEnv) -> None:
    steps, _ = play(env, EXPERTS[env.task](), 0)
    assert all(np.abs(action).max() <= 1 and action.shape == env.action_space.shape for _, action, _ in steps)
    fresh = EXPERTS[env.task]()
    for info, action, executed in reversed(steps):
        known = {key: value for key, value in info.items() if key.startswith("privileged/")}
        assert np.array_equal(fresh.act(known), action), "whatever came before, and from privileged state only"
        assert np.array_equal(executed, action), "without noise"


def test_it_comes_back_from_slips(env: TaskEnv) -> None:
    expert = EXPERTS[env.task](rng=np.random.default_rng(2), slips=0.03)
    horizon, env.horizon = env.horizon, 3 * env.horizon
    try:
        played = [play(env, expert, episode) for episode in range(4)]
    finally:
        env.horizon = horizon
    steps = [step for some, _ in played for step in some]
    slipped = [not np.array_equal(action, executed) for _, action, executed in steps]
    assert 0 < sum(slipped) < len(slipped) / 2
    assert all(np.abs(executed).max() <= 1 for _, _, executed in steps)
    assert sum(info["success"] for _, info in played) >= 3, "now and then a cube falls off the table"


def test_noise_moves_the_arm_and_the_record_stays_corrective(env: TaskEnv) -> None:
    expert = EXPERTS[env.task](noise=0.3, rng=np.random.default_rng(5))
    steps, info = play(env, expert, 0)
    assert info["success"]
    calm = EXPERTS[env.task]()
    assert all(np.array_equal(calm.act(known), action) for known, action, _ in steps)
    pushes = np.array([executed - action for _, action, executed in steps])
    assert np.abs(pushes).max() > 0.1
    assert all(np.abs(executed).max() <= 1 for _, _, executed in steps)
    if env.action_space.shape == (7,):
        told, done = np.array([action[6] for _, action, _ in steps]), np.array([executed[6] for _, _, executed in steps])
        late = np.flatnonzero(told != done)
        assert all(done[i] == done[i - 1] for i in late), "fingers are late, and do nothing that they were not told"


@pytest.mark.parametrize("task", [task for task in EXPERTS if task != "navigate_to"])
def test_fingers_follow_late_where_there_is_noise(task: str) -> None:
    told = np.repeat([-1.0, 1.0, -1.0, 1.0, -1.0], 20)
    for noise in (0.0, 0.3):
        expert = EXPERTS[task](noise=noise, rng=np.random.default_rng(3))
        done = np.array([expert.perturb(np.append(np.zeros(6), gripper))[6] for gripper in told])
        waits = [int((done[start : start + 20] != told[start]).sum()) for start in range(0, 100, 20)]
        assert waits[0] == 0, "the first command is no change of mind"
        assert all(
            np.array_equal(done[start + wait : start + 20], told[start + wait : start + 20]) for start, wait in zip(range(0, 100, 20), waits, strict=True)
        )
        assert (max(waits) == 0) if noise == 0 else (0 < max(waits) <= LATE_STEPS and len(set(waits)) > 2)


@pytest.mark.parametrize("task", [task for task in EXPERTS if task != "navigate_to"])
def test_a_turn_that_fingers_align_is_not_asked_for(task: str) -> None:
    info = {
        "privileged/gripper_pos_world": np.array([0.0, 0.0, 0.9]),
        "privileged/gripper_rot_world": DOWN,
        "privileged/gripper_width_m": np.array(0.08),
        "privileged/target_pos_world": np.array([0.0, 0.0, 0.82]),
        "privileged/goal_pos_world": np.array([0.1, 0.0, 0.82]),
    }
    straight, turned, far = (EXPERTS[task]().act(info | {"privileged/target_yaw": np.array(yaw)}) for yaw in (0.0, 0.3, 0.6))
    assert np.array_equal(straight, turned)
    assert far[5] > 0, "beyond that the hand turns as well"
    assert np.array_equal(straight[:3], far[:3]), "no height is kept for a turn"


@pytest.mark.parametrize("task", [task for task in EXPERTS if task != "navigate_to"])
@pytest.mark.parametrize("beside_m", [0.0, 0.01, 0.2])
def test_a_hand_closed_on_nothing_goes_up_and_opens_first(task: str, beside_m: float) -> None:
    info = {
        "privileged/gripper_pos_world": np.array([0.0, 0.0, 0.83]),
        "privileged/gripper_rot_world": DOWN,
        "privileged/gripper_width_m": np.array(0.005),
        "privileged/target_pos_world": np.array([beside_m, 0.0, 0.82]),
        "privileged/target_yaw": np.array(0.1),
        "privileged/goal_pos_world": np.array([0.1, 0.1, 0.82]),
    }
    action = EXPERTS[task]().act(info)
    assert action[6] < 0
    assert action[2] > 0.5
    assert not action[:2].any()


def test_noise_comes_from_the_generator_handed_in(env: TaskEnv) -> None:
    action = np.full(env.action_dim, 0.5)
    twice = [[EXPERTS[env.task](noise=0.3, rng=np.random.default_rng(seed)).perturb(action) for seed in (1, 2)] for _ in range(2)]
    assert np.array_equal(twice[0], twice[1])
    assert not np.array_equal(twice[0][0], twice[0][1])
    with pytest.raises(ValueError, match="noise=-1"):
        EXPERTS[env.task](noise=-1)


def test_knowing_nothing_does_not_help(env: TaskEnv) -> None:
    for policy in (ZeroPolicy(env.action_dim), RandomPolicy(env.action_dim, np.random.default_rng(0))):
        for episode in range(3):
            steps, info = play(env, policy, episode)
            assert not info["success"]
            assert all(env.action_space.contains(action.astype(np.float32)) for _, action, _ in steps)


def test_the_gripper_shows_the_phase() -> None:
    """Closing begins open, lifting begins closed: what proprio shows is enough to tell when to lift."""
    env = envs.make("pick_at_xy")
    steps, _ = play(env, EXPERTS["pick_at_xy"](), 1)
    env.close()
    lifting = [info["privileged/gripper_width_m"] for info, action, _ in steps if action[2] == 1 and action[6] > 0]
    others = [info["privileged/gripper_width_m"] for info, action, _ in steps if not (action[2] == 1 and action[6] > 0)]
    assert max(lifting) < 0.047 <= min(others)


@pytest.mark.slow
def test_it_solves_99_of_100_starts(env: TaskEnv) -> None:
    wins = [play(env, EXPERTS[env.task](), episode)[1]["success"] for episode in range(100)]
    assert np.mean(wins) >= 0.99
