"""navigate_to: the base goes where it is told, the pad can be seen, and success means standing on it."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from envs.base import TaskEnv
from envs.experts.navigate_to import SCALE, SCORED_AHEAD_M, NavigateToExpert

AWAY = [(2.0, 2.0), (-2.0, 2.0)]  # the two distractors, out of the way
DEVELOPMENT_SEED = 100_000


@pytest.fixture(scope="module")
def env():
    made = envs.make("navigate_to")
    yield made
    made.close()


def put(env: TaskEnv, base: tuple[float, float, float], target: tuple[float, float]) -> None:
    """Begins an episode at a pose of the base (x, y, heading) with the red pad at `target`."""
    env.reset(seed=0)
    env.simulation.set_start({"base": np.array(base), "pads": np.array([target, *AWAY])})
    env.set_state(env.get_state())


def drive(env: TaskEnv, action: tuple[float, float, float], steps: int) -> np.ndarray:
    """The change of the base's pose (3,) over `steps` steps of one action."""
    before = env.simulation.base_pose()
    env.step_chunk(np.tile(action, (steps, 1)))
    return env.simulation.base_pose() - before


def red_pixels(picture: np.ndarray) -> int:
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return int(((red > 150) & (green < 100) & (blue < 100)).sum())


def test_starts_are_spread_clear_of_the_target_and_in_view(env: TaskEnv) -> None:
    headings, bearings = [], []
    for i in range(200):
        start = env.simulation.sample_start(np.random.default_rng(i))
        env.simulation.set_start(start)
        (x, y, heading), target = start["base"], start["pads"][0]
        assert np.abs(np.append(start["pads"].ravel(), (x, y))).max() <= 2.0
        assert np.hypot(*(target - (x, y))) >= 1.0
        assert env.simulation.position_error_cm() >= 100.0
        centre = env.project("robot0_mast", env.simulation.target(), 96, 96)[0]
        assert ((centre >= 2) & (centre <= 94)).all(), f"start {i}: the target is at {centre} of the picture"
        headings.append(heading)
        bearings.append((np.arctan2(target[1] - y, target[0] - x) - heading) % (2 * np.pi))
    for angles in (np.mod(headings, 2 * np.pi), bearings):
        assert np.histogram(angles, bins=4, range=(0, 2 * np.pi))[0].min() >= 30


def test_the_target_shows_at_starts_and_wherever_success_is_possible(env: TaskEnv) -> None:
    for episode in range(5):
        observation, _ = env.reset(seed=DEVELOPMENT_SEED, options={"episode": episode})
        assert max(red_pixels(picture) for picture in observation["frames"][:, 1]) >= 8
    for ahead, left in ((0, 0), (0.15, 0), (-0.15, 0), (0, 0.15), (0, -0.15)):
        put(env, (0.3, -0.2, 0.0), (0.3 + SCORED_AHEAD_M + ahead, -0.2 + left))
        mast, front = env.camera_frames()
        assert red_pixels(mast) >= 8
        assert red_pixels(front) >= 200


@pytest.mark.parametrize("heading", [0.0, 1.0, -2.5])
def test_actions_are_velocities_in_the_base_frame(env: TaskEnv, heading: float) -> None:
    ahead, leftwards = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    put(env, (0.0, 0.0, heading), (1.5, 1.5))
    moved = drive(env, (1, 0, 0), 20)
    assert np.allclose(moved[:2], SCALE[0] * ahead, atol=0.06)
    assert abs(moved[2]) < 0.01
    drive(env, (0, 0, 0), 10)
    assert np.allclose(drive(env, (0, 1, 0), 20)[:2], SCALE[1] * leftwards, atol=0.06)
    drive(env, (0, 0, 0), 10)
    turned = drive(env, (0, 0, 1), 20)
    assert turned[2] == pytest.approx(SCALE[2], abs=0.08)
    assert np.abs(turned[:2]).max() < 0.01
    drive(env, (0, 0, 0), 10)
    now = heading + turned[2]
    assert np.allclose(drive(env, (1, 0, 0), 20)[:2], SCALE[0] * np.array([np.cos(now), np.sin(now)]), atol=0.06)  # also once it has turned


@pytest.mark.parametrize("action", [(0.5, -0.5, 0.3), (0.05, 0.0, 0.0), (1.0, 1.0, -1.0)])
def test_the_base_keeps_the_velocity_it_is_given_and_proprio_says_so(env: TaskEnv, action: tuple[float, float, float]) -> None:
    put(env, (0.0, 0.0, 0.7), (1.5, 1.5))
    observation, *_ = env.step_chunk(np.tile(action, (10, 1)))
    assert np.allclose(observation["proprio"], action, atol=0.06)


def test_proprio_says_nothing_of_the_world(env: TaskEnv) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (12, 3))
    readings = []
    for base, target in (((0.0, 0.0, 0.0), (1.5, 0.0)), ((-1.0, 0.7, 2.2), (0.4, -1.3))):
        put(env, base, target)
        readings.append(env.step_chunk(actions)[0]["proprio"])
    assert np.allclose(*readings, atol=0.01)  # dry friction acts along the joints, whose axes do not turn
    assert np.abs(readings[0]).max() > 0.1


def test_arm_and_pads_stay_where_they_are(env: TaskEnv) -> None:
    put(env, (0.0, 0.0, 0.0), (1.0, 0.0))
    task = env.simulation
    qpos = task.sim.data.qpos
    arm, pads = qpos[task._arm_qpos].copy(), qpos[task._pad_qpos].copy()
    for sign in (1, -1, 1, -1):  # jerks, forwards over the red pad
        drive(env, (1, sign, sign), 15)
    assert np.abs(qpos[task._arm_qpos] - arm).max() < 0.05
    assert np.array_equal(qpos[task._pad_qpos], pads)


def test_success_is_five_still_steps_within_fifteen_centimetres(env: TaskEnv) -> None:
    put(env, (0.0, 0.0, 0.0), (SCORED_AHEAD_M + 0.14, 0.0))
    *_, terminated, _, info, executed = env.step_chunk(np.zeros((10, 3)))
    assert (terminated, info["success"], executed) == (True, True, 5)
    assert info["position_error_cm"] == pytest.approx(14.0, abs=0.1)
    put(env, (0.0, 0.0, 0.0), (SCORED_AHEAD_M + 0.16, 0.0))
    *_, terminated, _, info, executed = env.step_chunk(np.zeros((10, 3)))
    assert (terminated, info["success"], executed) == (False, False, 10)


@pytest.mark.parametrize("action", [(0.15, 0, 0), (0, 0.15, 0), (0, 0, 0.15)])
def test_creeping_over_the_pad_is_no_success(env: TaskEnv, action: tuple[float, float, float]) -> None:
    put(env, (-0.05, 0.0, 0.0), (SCORED_AHEAD_M, 0.0))
    drive(env, action, 3)  # getting going
    env.simulation.begin()
    *_, info, executed = env.step_chunk(np.tile(action, (12, 1)))
    assert executed == 12
    assert not info["success"]
    assert info["position_error_cm"] < 15


def test_the_state_determines_the_picture_and_what_follows(env: TaskEnv) -> None:
    env.reset(seed=DEVELOPMENT_SEED)
    actions = np.random.default_rng(1).uniform(-1, 1, (16, 3))
    env.step_chunk(actions[:8])
    state, frames = env.get_state(), env.camera_frames()
    env.step_chunk(actions[8:])
    later = env.get_state()
    env.reset(seed=7)
    env.set_state(state)
    assert np.array_equal(env.camera_frames(), frames)
    env.step_chunk(actions[8:])
    assert np.abs(env.get_state() - later).max() < 1e-4  # not to the bit: the solver's warm start is no part of a state


def test_control_of_this_robot_is_the_fast_one(env: TaskEnv) -> None:
    from envs.control.fast import covered

    assert covered(env.simulation)


def solved(env: TaskEnv, policy: NavigateToExpert | None, seed: int, episodes: int) -> list[bool]:
    """Whether each episode succeeded under the expert, or else under the zero action."""
    outcomes = []
    for episode in range(episodes):
        env.reset(seed=seed, options={"episode": episode})
        terminated = truncated = False
        while not (terminated or truncated):
            action = np.zeros(3) if policy is None else policy.perturb(policy.act(env._info))
            terminated, truncated = env._advance(action)  # without pictures
        outcomes.append(env._info["success"])
    return outcomes


def test_the_expert_arrives_also_with_noise_and_zero_does_not(env: TaskEnv) -> None:
    assert all(solved(env, NavigateToExpert(), DEVELOPMENT_SEED, 6))
    assert sum(solved(env, NavigateToExpert(0.3, np.random.default_rng(0)), DEVELOPMENT_SEED, 6)) >= 5
    assert not any(solved(env, None, DEVELOPMENT_SEED, 2))


@pytest.mark.slow
def test_the_expert_solves_99_of_100_starts(env: TaskEnv) -> None:
    assert sum(solved(env, NavigateToExpert(), DEVELOPMENT_SEED, 100)) >= 99


def test_the_expert_turns_to_a_pad_behind_before_it_drives() -> None:
    def act(target: tuple[float, float]) -> np.ndarray:
        info = {"privileged/base_pose_world": np.zeros(3), "privileged/target_pos_world": np.array([*target, 0.0])}
        return NavigateToExpert().act(info)

    assert np.allclose(act((-2.0, 0.1)), [0, 0, 1])
    assert np.allclose(act((3.0, 0.0)), [1, 0, 0])
    assert np.allclose(act((SCORED_AHEAD_M, 0.0)), 0)
    for angle in np.linspace(-np.pi, np.pi, 30):
        assert np.abs(act((2 * np.cos(angle), 2 * np.sin(angle)))).max() <= 1


def test_negative_noise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"noise=-0\.1"):
        NavigateToExpert(noise=-0.1)
