"""An agent whose camera or instruction fails: it holds still or goes on with the other camera, and comes back; without a fallback nothing changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from policy.agent import Agent
from policy.model import build
from policy.transforms import Affine
from tests.policy.small import PROPRIO, config, observation, stirring
from whatwhere.errors import BadInput

ENCODERS = ("pixelwise", "avg_late", "cnn_keypoints")


def agent(encoder: str = "cnn_keypoints", fallback: str = "hold", training: Any = None, execute: int | None = None, **changes: Any) -> Agent:
    torch.manual_seed(0)
    policy = stirring(build(config(encoder, head="l1", **changes)))
    own = policy.config.own_dim
    return Agent(policy, {"proprio": Affine.identity(own), "actions": Affine.identity(7)}, execute=execute, fallback=fallback, training=training)


def spoilt(obs: dict[str, Any], how: str) -> dict[str, Any]:
    frames = obs["frames"].copy()
    if how == "missing":
        return obs | {"frames": {"robot0_eye_in_hand": frames[1]}}
    if how == "nan":
        frames = frames.astype(np.float32)
        frames[0, 1, 0, 0, 0] = np.nan
    if how == "black":
        frames[0] = 0
    return obs | {"frames": frames} if how not in ("empty", "strange") else obs | {"instruction": "" if how == "empty" else "banana"}


@pytest.mark.parametrize("how", ["black", "nan", "missing", "empty", "strange"])
@pytest.mark.parametrize("execute", [1, 3])
def test_it_holds_still_with_the_gripper_as_it_is_and_comes_back(how: str, execute: int) -> None:
    one = agent(training={"instruction": "pick the red cube"}, execute=execute)
    other = agent(fallback="none", execute=execute)
    first = one.act(observation(0))
    assert np.array_equal(first, other.act(observation(0))) and one.watch.now is None
    for _ in range(2):
        held = one.act(spoilt(observation(1), how))
        assert held.shape == (execute, 7) and not held[:, :6].any() and (held[:, 6] == first[-1, 6]).all()
        assert one.watch.now is not None and one.watch.now.did == "hold" and one.watch.now.step == execute, "since when, not how long"
        assert one.attention() is None and one.influence() is None
    assert np.array_equal(one.act(observation(2)), other.act(observation(2))) and one.watch.now is None
    assert one.watch.first is not None and one.watch.first.step == execute
    one.reset()
    assert one.watch.first is None and one.watch.step == 0


def test_before_the_first_action_the_gripper_is_open() -> None:
    assert agent().act(spoilt(observation(0), "black")).tolist() == [[0, 0, 0, 0, 0, 0, -1]]
    binary = agent("cnn_keypoints", binary=((6, -0.5, 1.0),))
    assert binary.act(spoilt(observation(0), "black"))[0, 6] == -0.5


def test_a_frozen_camera_shows_when_the_robot_moves() -> None:
    one, still = agent(), observation(0)["frames"]
    for step in range(30):
        frames = observation(step)["frames"]
        frames[0] = still[0]
        proprio = np.full(PROPRIO, 0.1 * step, np.float32)
        one.act(observation(step) | {"frames": frames, "proprio": proprio})
        assert (one.watch.now is not None) == (0.1 * step > 2.0 + 1e-6), step
    assert one.watch.now is not None and one.watch.now.why == "agentview is frozen"
    one.reset()
    for _ in range(30):
        one.act(observation(0))
        assert one.watch.now is None, "nothing moved"


def test_late_pictures_are_compared_with_the_robot_of_then() -> None:
    """At the start of an episode the first picture is seen again and again while it is late, and the robot moves."""
    one = agent(latency=30, history=("actions",))
    for step in range(30):
        one.act(observation(0) | {"proprio": np.full(PROPRIO, 0.2 * step, np.float32)})
        assert one.watch.now is None, step


def test_what_never_had_an_instruction_needs_none() -> None:
    one = agent(training={"instruction": ""})
    one.act(spoilt(observation(0), "empty"))
    assert one.watch.now is None


def test_without_a_fallback_pictures_that_are_none_are_refused_in_one_line() -> None:
    for how in ("nan", "missing"):
        with pytest.raises(BadInput, match="frames"):
            agent(fallback="none").act(spoilt(observation(0), how))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_other_camera_is_what_training_showed(encoder: str) -> None:
    one = agent(encoder, "other_camera", camera_dropout=0.3)
    seen = observation(1)
    dark = seen["frames"].copy()
    dark[0] = 0
    plain = agent(encoder, "none", camera_dropout=0.3).act(seen | {"frames": dark})
    for how in ("black", "nan", "missing"):
        assert np.array_equal(one.act(spoilt(seen, how)), plain) and one.watch.now is not None and one.watch.now.did == "other_camera", how
    both = one.act(seen | {"frames": None})
    assert not both[:, :6].any() and one.watch.now is not None and one.watch.now.did == "hold", "no camera is left"
    with pytest.raises(BadInput, match=r"fallback=other_camera: .* camera_dropout"):
        agent(encoder, "other_camera")
    with pytest.raises(BadInput, match=r"camera_dropout=0.3: .* there is one"):
        config(encoder, camera_dropout=0.3, cameras=("a",))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_camera_is_dropped_in_cached_tokens_as_in_pictures(encoder: str) -> None:
    torch.manual_seed(0)
    policy = build(config(encoder, camera_dropout=0.999999)).train()
    frames = torch.from_numpy(np.stack([observation(seed)["frames"] for seed in range(8)]))
    plain = policy.eval().look(frames)
    policy.train()
    torch.manual_seed(3)
    looked = policy.look(frames)
    if policy.streams is not None:
        torch.manual_seed(3)
        recalled: Any = policy.recall(plain)  # type: ignore[arg-type]
        assert torch.allclose(recalled.p_patches, looked.p_patches, atol=1e-5) and torch.allclose(recalled.m_cls, looked.m_cls, atol=1e-5)  # type: ignore[union-attr]
    name = "p" if policy.streams is None else "p_patches"
    changed = (getattr(looked, name) - getattr(plain, name)).flatten(2).abs().amax(2) > 1e-4  # (b, c)
    assert (changed.sum(1) == 1).all() and changed.any(0).all(), "one camera of each sample, and now one, now the other"
