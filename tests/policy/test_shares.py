"""The share of each camera, proprio and instruction in an answer."""

from __future__ import annotations

import numpy as np
import torch

from eval.observers.shares import SharesObserver
from eval.rollout import rollout
from policy.agent import Agent
from policy.model import build
from policy.shares import shares
from policy.transforms import Affine
from tests.eval.eval_fakes import FakeEnv, Reach
from tests.policy.small import config, observation, stirring


def test_they_sum_to_one_and_asking_changes_nothing() -> None:
    torch.manual_seed(0)
    policy = stirring(build(config("cnn_keypoints", head="l1")))
    agent, plain = (Agent(policy, {"proprio": Affine.identity(5), "actions": Affine.identity(7)}) for _ in range(2))
    assert agent.shares() is None
    for step in range(3):
        assert np.array_equal(agent.act(observation(step)), plain.act(observation(step)))
        told = agent.shares()
        assert told is not None and set(told) == {"agentview", "robot0_eye_in_hand", "proprio", "instruction"}
        assert abs(sum(told.values()) - 1) < 1e-6 and min(told.values()) > 0
    with torch.no_grad():
        policy.language.map.weight.zero_()  # type: ignore[union-attr]
        policy.reader.proprio[0].weight.zero_()
    agent.act(observation(4))
    told = agent.shares()
    assert told is not None and told["instruction"] == told["proprio"] == 0 and told["agentview"] > 0, "what is not heard has no share"


def test_of_nothing_nothing() -> None:
    assert shares({"a": 0.0, "b": 0.0}) == {"a": 0.0, "b": 0.0} and shares({"a": 3.0, "b": 1.0}) == {"a": 0.75, "b": 0.25}


def test_rows_have_their_mean() -> None:
    class Told(Reach):
        asked = 0

        def shares(self) -> dict[str, float]:
            self.asked += 1
            return {"top": self.asked % 2, "proprio": 1 - self.asked % 2}

    told = rollout(FakeEnv(), Told(), 5, 0, [SharesObserver()])["shares"]
    assert abs(told["top"] + told["proprio"] - 1) < 1e-3
