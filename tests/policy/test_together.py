"""Several agents answered as one batch: each as it would be alone, whatever its state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from policy.agent import Agent
from policy.inference.together import together
from policy.model import build
from policy.transforms import Affine
from tests.policy.small import awake, config, observation, stirring

BIT = 2e-5  # sums in another order; actions range from -1 to 1


def agent(options: dict[str, Any], **choices: Any) -> Agent:
    torch.manual_seed(0)
    policy: Any = build(config(**choices))
    policy = stirring(policy) if choices.get("head") == "l1" else awake(policy)
    if policy.memory is not None:
        torch.nn.init.normal_(policy.memory.leave.weight, std=0.5)
    own = policy.config.own_dim
    normalisation = {"proprio": Affine(np.full(own, 0.2, np.float32), np.full(own, 2.0, np.float32)), "actions": Affine.identity(7)}
    return Agent(policy, normalisation, **options)


def seen(episode: int, step: int) -> dict[str, Any]:
    words = {0: "pick the red cube", 1: "pick", 2: "put the green cube on the red cube"}[episode]
    return observation(100 * episode + step) | {"instruction": words}


@pytest.mark.parametrize(
    ("choices", "options"),
    [
        ({"head": "l1"}, {}),
        ({"head": "l1"}, {"without": "m", "execute": 2}),
        ({"head": "flow"}, {"execute": 3}),
        ({"head": "l1", "language": "transformer", "vocabulary": ("cube", "green", "on", "pick", "put", "red", "the")}, {"ensemble": 0.1}),
        ({"encoder": "cnn_keypoints", "head": "l1", "memory": 4}, {"execute": 2}),
        ({"encoder": "cnn_keypoints", "head": "l1", "latency": 2, "history": ("moved", "actions")}, {"execute": 1}),
    ],
)
def test_interleaved_episodes_are_as_each_alone(choices: dict[str, Any], options: dict[str, Any]) -> None:
    first = agent(options, **choices)
    alone = []
    for episode in range(3):
        first.reset([7, episode])
        alone.append([(first.act(seen(episode, step)), first.attention()) for step in range(5)])
    agents = [first, first.beside(), first.beside()]
    begun = [0, 2, 3]  # the others join later, so that only some have something to remember
    for one, episode in zip(agents, range(3), strict=True):
        one.reset([7, episode])
    for step in range(8):
        asked = [episode for episode in range(3) if 0 <= step - begun[episode] < 5]
        assert all(agents[episode].read(seen(episode, step - begun[episode])) for episode in asked)
        for episode, answer in zip(asked, together([agents[episode] for episode in asked]), strict=True):
            actions, look = alone[episode][step - begun[episode]]
            np.testing.assert_allclose(agents[episode].finish(answer), actions, atol=BIT)
            np.testing.assert_allclose(agents[episode].attention().keypoints, look.keypoints, atol=BIT)  # type: ignore[union-attr]
    assert np.abs(alone[0][4][0] - alone[1][4][0]).max() > 100 * BIT, "episodes differ"


def test_who_holds_still_is_not_asked() -> None:
    one = agent({"fallback": "hold"}, encoder="cnn_avg", head="l1")
    other = one.beside()
    assert other.policy is one.policy and other.watch is not one.watch and other.watch.fallback == "hold"
    dark = observation() | {"frames": np.zeros_like(observation()["frames"])}
    assert not one.read(dark) and other.read(observation())
    assert np.array_equal(one.finish(None)[:, :6], np.zeros((one.execute, 6)))
    assert one.watch.now is not None and other.watch.now is None
    expected = other.beside().act(observation())
    np.testing.assert_allclose(other.finish(together([other])[0]), expected, atol=BIT)
