"""Letting other things be meant: nothing that is seen changes, and success is that of what is meant."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from envs.experts import expert_class


@pytest.mark.parametrize("task", ["pick_at_xy", "navigate_to"])
def test_what_is_meant_changes_and_what_is_seen_does_not(task: str) -> None:
    env = envs.make(task, version=1, size=48)
    try:
        obs, info = env.reset(seed=100_000, options={"episode": 3})
        things, target = env.things, info["privileged/target_pos_world"]
        told, changed = env.mean([2, 0, 1, 3])
        assert env.things == (things[2], things[0], things[1], things[3])
        assert np.array_equal(told["frames"][:, 1], obs["frames"][:, 1]) and changed["init_hash"] == info["init_hash"]
        assert np.linalg.norm(changed["privileged/target_pos_world"] - target) > 0.05
        expert, done, info = expert_class(task)(), False, changed
        while not done:
            terminated, truncated, info = env.advance(expert.act(info))
            done = terminated or truncated
        assert info["success"]
        again, info = env.reset(seed=100_000, options={"episode": 3})
        assert env.things == things and np.array_equal(again["frames"], obs["frames"]) and np.array_equal(info["privileged/target_pos_world"], target)
    finally:
        env.close()
