"""Gymnasium environments under the contract of this package's tasks."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from envs.base import TaskEnv
from tests.envs.foreign.own_gymnasium import ReachExpert
from whatwhere.errors import BadInput

REACH, WALK = "gymnasium/tests.envs.foreign.own_gymnasium:Own/Reach-v0", "gymnasium/tests.envs.foreign.own_gymnasium:Own/Walk-v0"


@pytest.fixture
def reach() -> TaskEnv:
    return envs.make(REACH, size=32, frame_gap=2)


def test_what_it_shows(reach: TaskEnv) -> None:
    observation, info = reach.reset(seed=1)
    assert reach.observation_space.contains(observation)
    assert reach.cameras == ("top",) and observation["frames"].shape == (1, 2, 32, 32, 3)
    assert observation["proprio"] == pytest.approx(2 * info["privileged/place"] - 1, abs=1e-6), "brought to [-1, 1] by its bounds"
    assert (reach.instruction, reach.horizon, reach.control_hz, reach.name) == ("reach the red square", 30, 10, "Own/Reach-v0")
    assert info["position_error_cm"] == pytest.approx(100 * np.linalg.norm(info["privileged/place"] - info["privileged/target"]), abs=1e-3)
    assert "privileged/note" not in info
    assert reach.render().shape == (480, 640, 3)


def test_a_start_is_a_function_of_seed_and_episode(reach: TaskEnv) -> None:
    hashes = [reach.reset(seed=seed, options={"episode": episode})[1]["init_hash"] for seed, episode in ((1, 0), (1, 1), (2, 0), (1, 0))]
    assert hashes[0] == hashes[3] and len(set(hashes)) == 3
    assert envs.make("tests.envs.foreign.own_gymnasium:Reach").reset(seed=1)[1]["init_hash"] != hashes[0], "another name is another task"


def test_frames_are_the_present_one_and_the_one_before_the_gap(reach: TaskEnv) -> None:
    reach.reset(seed=3)
    pictures = [reach.camera_frames()]
    for step in range(1, 5):
        observation = reach.step(np.array([0.5, -0.5]))[0]
        pictures.append(reach.camera_frames())
        assert np.array_equal(observation["frames"][:, 1], pictures[step])
        assert np.array_equal(observation["frames"][:, 0], pictures[max(step - 2, 0)])
    state = reach.get_state()
    reach.reset(seed=3)
    assert np.array_equal(observation["frames"], reach.step_chunk(np.tile([0.5, -0.5], (4, 1)))[0]["frames"])
    assert np.array_equal(state, reach.get_state())


def test_the_expert_succeeds_and_actions_have_the_range_of_the_space(reach: TaskEnv) -> None:
    for episode in range(5):
        _, info = reach.reset(seed=7, options={"episode": episode})
        expert, over = ReachExpert(noise=0.3, rng=np.random.default_rng(episode)), False
        while not over:
            _, reward, terminated, truncated, info = reach.step(expert.perturb(expert.act(info)))
            over = terminated or truncated
        assert info["success"] and terminated and reward == 1.0


def test_without_a_picture_it_is_rendered_and_numbers_are_privileged() -> None:
    env = envs.make(WALK, size=32)
    observation, info = env.reset(seed=0)
    assert env.cameras == ("rendered",) and not observation["proprio"].any()
    assert info["privileged/observation"] == [0.0]
    assert info["position_error_cm"] is None
    assert env.action_dim == 3
    frames = env.step(np.array([-1, 0, 1]))[0]["frames"]
    assert (frames[0, 0] == 50).all() and (frames[0, 1] == 70).all(), "the greatest of three numbers is the third way: to the right"


def test_success_by_the_reward_threshold_is_told_at_the_end() -> None:
    env = envs.make(WALK)
    env.reset(seed=0)
    right = np.array([-1, -1, 1])
    assert [env.step(right)[4]["success"] for _ in range(4)] == [False, False, False, True]
    env.reset(seed=0)
    *_, terminated, truncated, info, executed = env.step_chunk(np.tile([1, 0, -1], (9, 1)))
    assert (terminated, truncated, executed, info["failure"]) == (True, False, 1, "terminated")
    env.reset(seed=0)
    *_, terminated, truncated, info, executed = env.step_chunk(np.tile([0, 1, -1], (9, 1)))
    assert (terminated, truncated, executed, info["failure"]) == (False, True, 4, None)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("tests.envs.foreign.own_gymnasium:Dark", "has no picture"),
        ("tests.envs.foreign.own_gymnasium:Endless", "neither Discrete nor a Box with finite bounds"),
        ("gymnasium/tests.envs.foreign.own_gymnasium:Own/Nowhere-v0", "cannot be made"),
    ],
)
def test_what_cannot_be_run_is_refused(task: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        envs.make(task)


def test_success_must_be_told_by_something() -> None:
    env = envs.make("gymnasium/tests.envs.foreign.own_gymnasium:Own/Aimless-v0")
    env.reset(seed=0)
    with pytest.raises(BadInput, match="does not say whether an episode succeeded"):
        env.step_chunk(np.tile([-1, -1, 1], (9, 1)))


def test_it_cannot_be_put_into_a_state(reach: TaskEnv) -> None:
    reach.reset(seed=1)
    with pytest.raises(BadInput, match="cannot be set to a recorded state"):
        reach.set_state(reach.get_state())
    with pytest.raises(BadInput, match="valid: top"):
        envs.make(REACH, cameras=["side"])
