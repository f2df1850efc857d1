"""Late pictures and late actions: what arrives is what was there so many control steps earlier, in every kind of task."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from envs.frames import FrameHistory
from whatwhere.errors import BadInput

OWN = "tests.envs.foreign.own_gymnasium:Reach"
TASKS = ("pick_at_xy", "robosuite/Lift", OWN)


def played(task: str, steps: int, episodes: int = 1, **options: Any) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Observations and states of some episodes, one after the other, under actions that depend on the step alone."""
    seen, states = [], []
    with contextlib.closing(envs.make(task, size=16, frame_gap=2, **options)) as env:
        actions = np.random.default_rng(3).uniform(-0.5, 0.5, (steps, env.action_dim))
        for episode in range(episodes):
            seen.append(env.reset(seed=7, options={"episode": episode})[0])
            states.append(env.get_state())
            for action in actions:
                seen.append(env.step(action)[0])
                states.append(env.get_state())
    return seen, states


@pytest.mark.parametrize("gap", [1, 4])
@pytest.mark.parametrize("latency", [0, 1, 3])
def test_both_frames_of_a_pair_are_late_and_the_first_stands_in(gap: int, latency: int) -> None:
    drawn: list[int] = []

    def draw(moment: np.ndarray) -> np.ndarray:
        drawn.append(int(moment[0]))
        return np.full((1, 2, 2, 3), moment[0], np.uint8)

    history = FrameHistory(draw, gap, latency)
    for first in (0, 100):  # a second episode sees nothing of the one before
        history.restart(np.array([first]))
        for step in range(12):
            if step:
                history.add(np.array([first + step]))
            now = first + max(step - latency, 0)
            assert history.pair()[0, :, 0, 0, 0].tolist() == [max(now - gap, first), now]
    assert len(drawn) == len(set(drawn)), "nothing is drawn twice"
    assert latency == 0 or 111 not in drawn, "what has not arrived is not drawn"
    assert history.newest()[0, 0, 0, 0] == 111, "recordings take what the cameras see now"


@pytest.mark.parametrize("task", TASKS)
def test_an_environment_with_latency_shows_the_pictures_of_so_many_steps_ago(task: str) -> None:
    (plain, states), (late, late_states) = played(task, 7, 2), played(task, 7, 2, latency=3)
    for step, (one, other) in enumerate(zip(plain, late, strict=True)):
        first = step // 8 * 8
        np.testing.assert_array_equal(other["frames"][:, 1], plain[max(step - 3, first)]["frames"][:, 1])
        np.testing.assert_array_equal(other["frames"], plain[max(step - 3, first)]["frames"])
        np.testing.assert_array_equal(other["proprio"], one["proprio"])
        np.testing.assert_array_equal(states[step], late_states[step])
    assert any((one["frames"] != other["frames"]).any() for one, other in zip(plain, late, strict=True))


@pytest.mark.parametrize("task", TASKS)
def test_none_is_as_it_was(task: str) -> None:
    (plain, states), (none, none_states) = played(task, 4), played(task, 4, latency=0, action_latency=0)
    for one, other in zip(plain, none, strict=True):
        np.testing.assert_array_equal(one["frames"], other["frames"])
    np.testing.assert_array_equal(states, none_states)


def test_a_chunk_sees_what_steps_see() -> None:
    with contextlib.closing(envs.make("pick_at_xy", size=16, latency=3)) as env:
        actions = np.random.default_rng(3).uniform(-0.5, 0.5, (8, 7))
        env.reset(seed=7)
        stepped = [env.step(action)[0]["frames"] for action in actions]
        env.reset(seed=7)
        np.testing.assert_array_equal(env.step_chunk(actions[:5])[0]["frames"], stepped[4])
        np.testing.assert_array_equal(env.step_chunk(actions[5:])[0]["frames"], stepped[7])


@pytest.mark.parametrize("task", ["pick_at_xy", OWN])
def test_late_actions_are_carried_out_so_many_steps_later(task: str) -> None:
    def states(actions: np.ndarray, **options: Any) -> list[np.ndarray]:
        with contextlib.closing(envs.make(task, size=16, **options)) as env:
            found = []
            for _ in range(2):  # what was under way at the end of an episode is not carried into the next
                env.reset(seed=7, options={"episode": 0})
                for action in actions:
                    env.advance(action)
                    found.append(env.get_state())
        return found

    with contextlib.closing(envs.make(task, size=16)) as env:
        actions = np.random.default_rng(3).uniform(-0.5, 0.5, (6, env.action_dim))
    waited = np.concatenate([np.zeros_like(actions[:2]), actions[:-2]])
    np.testing.assert_array_equal(states(actions, action_latency=2), states(waited))


def test_gymnasium_makes_them_too() -> None:
    with contextlib.closing(gymnasium.make("whatwhere/PickAtXY-v0", size=16, latency=3, action_latency=1)) as env:
        assert (env.unwrapped.latency, env.unwrapped.action_latency) == (3, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("task", ["pick_at_xy", OWN])
@pytest.mark.parametrize("option", ["latency", "action_latency"])
@pytest.mark.parametrize("value", [-1, 101, 1.5, True, "4", None])
def test_what_is_refused(task: str, option: str, value: Any) -> None:
    make: Callable[..., Any] = envs.make
    with pytest.raises(BadInput, match=rf"{option}=.*: must be a whole number of control steps from 0 to 100"):
        make(task, size=16, **{option: value})
