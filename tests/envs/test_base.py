"""The gymnasium adapter: seeds, chunks, failures that end an episode, states, pictures."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import envs
from envs.base import TaskEnv
from whatwhere.errors import BadInput

TRACE = """
import hashlib, sys
import numpy as np, envs
env = envs.make("pick_at_xy", horizon=40)
rng, digest = np.random.default_rng(0), hashlib.sha256()
done, (observation, _) = False, env.reset(seed=11)
for step in range(int(sys.argv[1])):
    if done:
        observation, _ = env.reset()
    observation, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 7))
    done = terminated or truncated
    digest.update(observation["frames"].tobytes() + observation["proprio"].tobytes() + env.get_state().tobytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def env() -> Iterator[TaskEnv]:
    env = envs.make("pick_at_xy", horizon=30)
    yield env
    env.close()


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def test_the_observation_is_what_the_space_says(env: TaskEnv) -> None:
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert observation["frames"].shape == (2, 2, 96, 96, 3)
    assert np.array_equal(observation["frames"][:, 0], observation["frames"][:, 1]), "after a reset nothing has changed yet"
    assert info["success"] is False
    assert info["failure"] is None
    assert not any(key.startswith("privileged/") for key in observation)


def test_a_start_depends_on_seed_and_episode_alone(env: TaskEnv) -> None:
    first, info = env.reset(seed=5, options={"episode": 3})
    state = env.get_state()
    env.reset(seed=9)
    env.step_chunk(np.full((10, 7), 0.5))
    again, info_again = env.reset(seed=5, options={"episode": 3})
    assert same(first, again)
    assert same(info, info_again)
    assert np.array_equal(state, env.get_state())
    assert env.reset(seed=5, options={"episode": 4})[1]["init_hash"] != info["init_hash"]
    assert env.reset(seed=6, options={"episode": 3})[1]["init_hash"] != info["init_hash"]


def test_without_a_seed_the_next_episode_follows(env: TaskEnv) -> None:
    hashes = [env.reset(seed=7, options={"episode": i})[1]["init_hash"] for i in range(3)]
    assert len(set(hashes)) == 3
    assert env.reset(seed=7)[1]["init_hash"] == hashes[0]
    assert [env.reset()[1]["init_hash"] for _ in range(2)] == hashes[1:]


def test_a_chunk_is_the_same_as_its_steps(env: TaskEnv) -> None:
    actions = np.random.default_rng(2).uniform(-1, 1, (11, 7))
    env.reset(seed=3)
    stepped = [env.step(action) for action in actions]
    state = env.get_state()
    env.reset(seed=3)
    seen: list[int] = []
    for start, end in ((0, 4), (4, 5), (5, 11)):
        chunked = env.step_chunk(actions[start:end], on_step=lambda env, action, info: seen.append(len(action)))
        assert same(chunked[0], stepped[end - 1][0])
        assert chunked[1:4] == stepped[end - 1][1:4]
        assert same(chunked[4], stepped[end - 1][4])
        assert chunked[5] == end - start
    assert len(seen) == 11
    assert np.array_equal(state, env.get_state())


def test_frames_are_the_present_one_and_the_one_before_the_gap(env: TaskEnv) -> None:
    env.reset(seed=4)
    pictures = [env.camera_frames()]
    for step in range(1, 8):
        observation = env.step(np.array([0.8, 0, -0.8, 0, 0, 0, -1]))[0]
        pictures.append(env.camera_frames())
        assert np.array_equal(observation["frames"][:, 1], pictures[step])
        assert np.array_equal(observation["frames"][:, 0], pictures[max(step - 4, 0)])
    assert not np.array_equal(pictures[0], pictures[-1])


def test_advance_is_a_step_without_an_observation(env: TaskEnv) -> None:
    actions = np.random.default_rng(6).uniform(-1, 1, (6, 7))
    env.reset(seed=8)
    *_, info = [env.step(action) for action in actions][-1]
    state = env.get_state()
    env.reset(seed=8)
    terminated, truncated, advanced = [env.advance(action) for action in actions][-1]
    assert (terminated, truncated) == (False, False)
    assert same(info, advanced)
    assert np.array_equal(state, env.get_state())


def test_a_chunk_stops_at_the_end(env: TaskEnv) -> None:
    env.reset(seed=3)
    *_, terminated, truncated, info, executed = env.step_chunk(np.zeros((50, 7)))
    assert (terminated, truncated, executed) == (False, True, 30)
    assert info["failure"] is None
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(7))


@pytest.mark.parametrize("action", [np.full(7, np.nan), np.zeros(6), np.zeros((7, 1)), [0.0, "up"], None, np.array([np.inf] + [0.0] * 6)])
def test_a_bad_action_ends_the_episode_and_not_the_run(env: TaskEnv, action: Any) -> None:
    env.reset(seed=3)
    env.step(np.zeros(7))
    before = env.get_state()
    observation, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated, info["success"], info["failure"]) == (0.0, True, False, False, "bad_action")
    assert np.isfinite(info["position_error_cm"])
    assert env.observation_space.contains(observation)
    assert np.array_equal(before, env.get_state())
    env.reset(seed=3)
    assert env.step(np.zeros(7))[4]["failure"] is None


def test_a_bad_chunk_ends_the_episode(env: TaskEnv) -> None:
    env.reset(seed=3)
    chunk = np.zeros((4, 7))
    chunk[2, 0] = np.nan
    *_, terminated, _, info, executed = env.step_chunk(chunk)
    assert (terminated, info["failure"], executed) == (True, "bad_action", 3)
    env.reset(seed=3)
    assert env.step_chunk(np.zeros((4, 5)))[4]["failure"] == "bad_action"


@pytest.mark.parametrize("velocity", [np.nan, 1e30])
def test_diverging_physics_end_the_episode_and_not_the_run(env: TaskEnv, velocity: float) -> None:
    env.reset(seed=3)
    env.step(np.zeros(7))
    env.simulation.sim.data.qvel[:] = velocity
    observation, reward, terminated, _, info = env.step(np.zeros(7))
    assert (reward, terminated, info["success"], info["failure"]) == (0.0, True, False, "physics_diverged")
    assert np.isfinite(info["position_error_cm"])
    assert env.observation_space.contains(observation)
    _, first = env.reset(seed=3)
    *_, info = env.step(np.zeros(7))
    assert info["failure"] is None
    assert info["init_hash"] == first["init_hash"]


def test_actions_are_clipped(env: TaskEnv) -> None:
    env.reset(seed=3)
    env.step_chunk(np.full((5, 7), 9.0))
    state = env.get_state()
    env.reset(seed=3)
    env.step_chunk(np.ones((5, 7)))
    assert np.array_equal(state, env.get_state())


def test_a_state_can_be_gone_back_to(env: TaskEnv) -> None:
    actions = np.random.default_rng(4).uniform(-1, 1, (8, 7))
    observation, _ = env.reset(seed=12)
    start = env.get_state()
    ends = [env.step_chunk(actions)[0], env.get_state()]
    env.set_state(start)
    assert np.array_equal(start, env.get_state())
    assert np.array_equal(env.camera_frames(), observation["frames"][:, 1])
    assert same(env.step_chunk(actions)[0], ends[0])
    assert np.array_equal(env.get_state(), ends[1])
    with pytest.raises(BadInput, match="state: needs"):
        env.set_state(start[:-1])


def test_projection_finds_the_red_cube(env: TaskEnv) -> None:
    # The wrist camera does not see the whole table, and below row 60 the hand hides what is there.
    for camera, lowest, least in (("agentview", 94, 12), ("robot0_eye_in_hand", 60, 3)):
        found = 0
        for episode in range(12):
            _, info = env.reset(seed=13, options={"episode": episode})
            column, row = env.project(camera, info["privileged/target_pos_world"] + [0, 0, 0.02], 96, 96)[0]
            if not (2 <= column < 94 and 2 <= row < lowest):
                continue
            red, green, blue = env.draw(camera, 96, 96)[int(row), int(column)].astype(int)
            assert red > green + 60
            assert red > blue + 60
            found += 1
        assert found >= least
    assert np.isnan(env.project("agentview", np.array([[9.0, 0.0, 9.0]]), 96, 96)).all(), "behind the camera"


def test_the_scene_view_and_the_model(env: TaskEnv) -> None:
    env.reset(seed=1)
    assert env.render().shape == (480, 640, 3)
    xml = env.model_xml()
    assert "robosuite/models/assets" in xml
    assert "/site-packages/" not in xml


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"task": "pick_at"}, "did you mean pick_at_xy"),
        ({"size": 8}, "size=8: must be at least 16"),
        ({"size": 500}, "size=500: must be at most 480"),
        ({"frame_gap": 0}, "frame_gap=0"),
        ({"horizon": 0}, "horizon=0"),
        ({"rendering": "fats"}, "did you mean fast"),
        ({"cameras": ["agentveiw"]}, "did you mean agentview"),
    ],
)
def test_what_make_refuses(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        envs.make(**{"task": "pick_at_xy", **options})


def test_what_reset_refuses(env: TaskEnv) -> None:
    for options, says in (({"epsiode": 1}, "did you mean episode"), ({"episode": -1}, "episode=-1"), ({"episode": 1.5}, "episode=1.5")):
        with pytest.raises(BadInput, match=says):
            env.reset(seed=1, options=options)


def test_two_processes_see_the_same_300_steps() -> None:
    runs = [subprocess.run([sys.executable, "-c", TRACE, "300"], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.strip()) == len(hashlib.sha256().hexdigest())
