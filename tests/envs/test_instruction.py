"""Instructions are any text, also through the shared memory of environments in processes of their own."""

from __future__ import annotations

import functools
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import FilterObservation, FlattenObservation

import envs
from envs.base import TaskEnv
from envs.instruction import LONGEST, Instruction
from tests.envs.foreign import own_gymnasium
from whatwhere.errors import BadInput

TEXTS = ("", "pick up the red cube", "nimm den grünen Würfel", "拿起红色的方块", "🤖" * 20, "line\nline\ttab", "a" * LONGEST)
REACH = "tests.envs.foreign.own_gymnasium:Reach"


class Speaks(own_gymnasium.Reach):
    """Says something else in every episode."""

    episode = 0
    instruction = "nothing yet"

    def reset(self, **options: Any) -> Any:
        self.instruction = TEXTS[self.episode % len(TEXTS)]
        self.episode += 1
        return super().reset(**options)


def made(texts: int) -> TaskEnv:
    env = envs.make("tests.envs.test_instruction:Speaks", size=32)
    env.simulation.episode = texts
    return env


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_an_instruction(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(own_gymnasium.Reach, "instruction", text)
    env = envs.make(REACH, size=32)
    observation, _ = env.reset(seed=0)
    assert observation["instruction"] == text and env.observation_space.contains(observation)
    assert isinstance(env.observation_space["instruction"].sample(), str)  # type: ignore[index]


@pytest.mark.parametrize("text", ["a" * (LONGEST + 1), "a\0b", "\ud800", None, b"pick", 7, ["pick"]])
def test_what_is_no_text_is_refused_when_the_environment_is_made(monkeypatch: pytest.MonkeyPatch, text: object) -> None:
    monkeypatch.setattr(own_gymnasium.Reach, "instruction", text)
    with pytest.raises(BadInput, match="instruction: needs a text of at most"):
        envs.make(REACH, size=32)


@pytest.mark.parametrize("shared_memory", [True, False])
@pytest.mark.parametrize("copy", [True, False])
def test_processes_hand_over_what_was_said(shared_memory: bool, copy: bool) -> None:
    vector = gymnasium.vector.AsyncVectorEnv([functools.partial(made, i) for i in range(2)], shared_memory=shared_memory, copy=copy)
    try:
        for episode in range(len(TEXTS) - 2):
            observation, _ = vector.reset(seed=[1, 2])
            assert list(observation["instruction"]) == list(TEXTS[episode : episode + 2])
            assert observation["frames"].shape == (2, 1, 2, 32, 32, 3)
            kept = observation["instruction"] if copy else tuple(observation["instruction"])
            observation, *_ = vector.step(np.zeros((2, 2), np.float32))
            assert tuple(observation["instruction"]) == tuple(kept) == TEXTS[episode : episode + 2], "and an episode says the same to its end"
        assert vector.observation_space.contains(vector.reset()[0]) or not copy
    finally:
        vector.close()


def test_tasks_of_this_package_in_processes() -> None:
    afresh = {"context": "spawn"}  # this process may have drawn (envs.rendering.context)
    vector = gymnasium.make_vec("whatwhere/PickAtXY-v0", num_envs=2, vectorization_mode="async", vector_kwargs=afresh, size=32)
    try:
        observation, _ = vector.reset(seed=0)
        assert tuple(observation["instruction"]) == ("pick up the red cube",) * 2
    finally:
        vector.close()


def test_flat_and_back() -> None:
    env = made(3)
    flat = FlattenObservation(env)
    assert flat.observation_space.contains(flat.reset()[0])
    space = Instruction()
    for text in TEXTS:
        assert spaces.unflatten(space, spaces.flatten(space, text)) == text
    assert spaces.flatdim(space) == LONGEST and space == Instruction()


def test_without_its_words_it_is_what_stable_baselines3_takes() -> None:
    """A dict, not nested, of boxes with finite bounds: what its MultiInputPolicy asks for."""
    env = FilterObservation(envs.make(REACH, size=32), ["frames", "proprio"])
    assert isinstance(env.observation_space, spaces.Dict) and isinstance(env.action_space, spaces.Box)
    for box in (*env.observation_space.spaces.values(), env.action_space):
        assert isinstance(box, spaces.Box) and np.isfinite(box.low).all() and np.isfinite(box.high).all()
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation) and set(observation) == {"frames", "proprio"}
