"""Gymnasium environments under the contract of this package's tasks."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from envs.base import TaskEnv
from tests.envs.foreign import own_gymnasium
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


def test_a_depth_map_and_a_mask_are_no_proprio(capsys: pytest.CaptureFixture[str]) -> None:
    env = envs.make("tests.envs.foreign.own_gymnasium:Busy", size=32)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("task=")]
    assert line == (
        "task=tests.envs.foreign.own_gymnasium:Busy: pictures: bright float32(32, 40, 3), first uint8(3, 32, 40), top uint8(48, 64, 3); "
        "proprio: matrix (12), mode.0 (1), mode.1 (2), place (2); "
        "left out: depth float32(64, 64, 1), mask uint8(64, 64, 4), mission Text, points float32(500, 3), scan float32(360,) "
        "(policy_cameras and policy_proprio choose: docs/gymnasium.md)"
    )
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation) and observation["proprio"].shape == (17,)
    assert env.cameras == ("bright", "first", "top")
    assert (observation["frames"][0] == 51).all() and (observation["frames"][1] == 7).all()
    assert len(env.get_state()) < 30 and info["privileged/depth"].shape == (64, 64, 1)
    assert observation["proprio"][12:15].tolist() == [1, -1, 1]


def test_an_environment_chooses_what_the_policy_sees(capsys: pytest.CaptureFixture[str]) -> None:
    env = envs.make("tests.envs.foreign.own_gymnasium:Chosen", size=64)
    assert "pictures: top uint8(48, 64, 3), depth float32(64, 64, 1), mask uint8(64, 64, 4); proprio: scan (360)" in capsys.readouterr().err
    observation, _ = env.reset(seed=1)
    assert env.cameras == ("top", "depth", "mask") and observation["proprio"].shape == (360,) and not observation["proprio"].any()
    _, depth, mask = observation["frames"][:, 1]
    assert (depth[:, :32] == 0).all() and (depth[:, 32:] == 255).all(), "from bound to bound"
    assert (mask[:, :32] == 255).all() and (mask[:, 32:] == (200, 0, 0)).all(), "white where it is transparent"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("policy_cameras", ("deep",), "policy_cameras=deep: unknown; valid: .*depth"),
        ("policy_cameras", ("points",), "policy_cameras: points is float32.500, 3.: needs bounds"),
        ("policy_cameras", "top", "policy_cameras: needs a list of names"),
        ("policy_proprio", ("mission",), "policy_proprio=mission: unknown"),
        ("policy_proprio", ("mask",), "proprio of 16384 numbers; at most 4096"),
    ],
)
def test_choices_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: object, says: str) -> None:
    monkeypatch.setattr(own_gymnasium.Chosen, name, value)
    if name == "policy_proprio":
        monkeypatch.setattr(own_gymnasium.Chosen, "policy_cameras", ("top",))
    with pytest.raises(BadInput, match=says):
        envs.make("tests.envs.foreign.own_gymnasium:Chosen")


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
