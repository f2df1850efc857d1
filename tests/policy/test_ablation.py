"""One stream alone, or one taken away: what the policy gets instead, in training, at evaluation, in every way of computing, and that it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs.demos.episodes import write_episode
from policy.ablation import STREAMS, check_without
from policy.agent import Agent
from policy.channels import pair_channels
from policy.config import PolicyConfig
from policy.encoders import ENCODERS, FROM_SCRATCH
from policy.export.graph import traced
from policy.finetune import main as finetune
from policy.language.bag import bag_of_words
from policy.model import Policy, build, build_streams
from policy.shapes import Channels
from policy.transforms import Affine
from tests.policy.small import PROPRIO, awake, config, inputs, observation, stirring
from tests.policy.test_finetune import episode, settings
from whatwhere.errors import BadInput

NORMALISATION = {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}


def made(encoder: str, **changes: Any) -> Policy:
    torch.manual_seed(0)
    policy = build(config(encoder, **changes))
    return (awake if "head" in changes else stirring)(policy).eval()


def same_m(frames: torch.Tensor) -> torch.Tensor:
    """Pairs of equal frames: nothing changed."""
    return frames[:, :, 1:].expand(-1, -1, 2, -1, -1, -1)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    for number in range(2):
        write_episode(folder / f"episode_{number}.hdf5", episode(6, number))
    return folder


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_policy_of_one_stream_hears_nothing_of_the_other(encoder: str) -> None:
    frames, proprio, task = inputs()
    earlier, later = frames.clone(), frames.clone()
    earlier[:, :, 0] = 255 - earlier[:, :, 0]  # M changes, P (of the later frame) does not
    later += 40  # both frames, by the same number where nothing wraps: P changes, and M too
    with torch.no_grad():
        p, both = made(encoder, streams_used="p"), made(encoder)
        assert torch.equal(p(frames, proprio, task), p(earlier, proprio, task))
        assert not torch.allclose(p(frames, proprio, task), p(later, proprio, task), atol=1e-5)
        assert not torch.allclose(both(frames, proprio, task), both(earlier, proprio, task), atol=1e-5)
        m = made(encoder, streams_used="m")
        plain = pair_channels(frames)
        shown = (plain, Channels(plain.m, plain.p.flip(-1)))  # another picture, the same change
        one, other = (m.decide(channels if m.streams is None else m._see_some(channels), proprio, task).actions for channels in shown)
        assert torch.equal(one, other)
        assert not torch.allclose(m(frames, proprio, task), m(earlier, proprio, task), atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_is_taken_away_is_what_streams_say_of_nothing(encoder: str) -> None:
    frames, proprio, task = inputs()
    policy = made(encoder)
    with torch.no_grad():
        whole = policy(frames, proprio, task)
        with policy.without("m"):
            without = policy(frames, proprio, task)
        torch.testing.assert_close(without, policy(same_m(frames), proprio, task), atol=1e-5, rtol=1e-5)
        assert torch.equal(policy(frames, proprio, task), whole), "and it is given back"
        with policy.without("p"):
            blind = policy(frames, proprio, task)
            channels = pair_channels(frames)
            grey = Channels(channels.m, torch.zeros_like(channels.p))
        torch.testing.assert_close(blind, policy.decide(grey if policy.streams is None else policy.see(grey), proprio, task).actions, atol=1e-5, rtol=1e-5)
        assert len({round(float(x.sum()), 4) for x in (whole, without, blind)}) == 3


@pytest.mark.parametrize("used", STREAMS)
def test_cached_tokens_give_what_frames_give(used: str) -> None:
    policy = made("pixelwise", streams_used=used, m_dropout=0.5)
    frames, proprio, task = inputs()
    for training in (False, True):  # in training, too: one stream alone is never hidden
        policy.train(training)
        with torch.no_grad():
            cached = policy.decide(policy.recall(policy.see(pair_channels(frames))), proprio, task).actions
            torch.testing.assert_close(cached, policy(frames, proprio, task), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("inference", ["plain", "bf16"])
def test_an_agent_without_a_stream(stream: str, inference: str) -> None:
    policy = made("pixelwise")
    whole, agent = Agent(policy, NORMALISATION, inference=inference), Agent(policy, NORMALISATION, inference=inference, without=stream)
    obs = observation()
    first = whole.act(obs)
    assert not np.array_equal(agent.act(obs), first)
    assert np.array_equal(whole.act(obs), first), "they share a policy, and not what is taken away"
    assert set(whole.influence() or {}) == {"m", "p"} and set(agent.influence() or {}) == set(STREAMS) - {stream}
    with policy.without(stream), torch.no_grad():
        reference = policy.predict(*(torch.from_numpy(x)[None] for x in (obs["frames"], obs["proprio"], bag_of_words(obs["instruction"]).numpy())))
    np.testing.assert_allclose(agent.act(obs)[0], reference.actions[0, 0].clip(-1, 1), atol=1e-5 if inference == "plain" else 0.05)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_influence_is_the_difference_without_and_changes_nothing(encoder: str) -> None:
    policy = made(encoder)
    agent, other = (Agent(policy, NORMALISATION, execute=2) for _ in range(2))
    assert agent.influence() is None
    for seed in range(2):
        acted = agent.act(observation(seed))
        told = agent.influence()
        np.testing.assert_array_equal(acted, other.act(observation(seed)))
    assert told is not None
    for stream in STREAMS:
        ablated = Agent(policy, NORMALISATION, execute=2, without=stream)
        away = ablated._ask(*agent.inputs(observation(1)))
        with policy.without(stream):
            away = ablated._ask(*agent.inputs(observation(1)))
        assert agent._last is not None
        assert told[stream] == pytest.approx(float((away.actions[0, :2] - agent._last.actions[0, :2]).abs().mean()), abs=1e-7) and told[stream] > 0
    agent.reset()
    assert agent.influence() is None
    still = observation(0)
    still["frames"][:, 0] = still["frames"][:, 1]
    agent.act(still)
    assert (agent.influence() or {})["m"] == pytest.approx(0, abs=1e-5), "where nothing changed, M moves nothing"


def test_a_head_that_draws_draws_the_same_without() -> None:
    agent = Agent(made("cnn_avg", head="flow"), NORMALISATION)
    still = observation(0)
    still["frames"][:, 0] = still["frames"][:, 1]
    agent.act(still)
    assert agent.influence() == {"m": 0.0, "p": pytest.approx((agent.influence() or {})["p"])}


@pytest.mark.parametrize("used", STREAMS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_can_be_trained_on_one(encoder: str, used: str, demos: Path, tmp_path: Path) -> None:
    out = finetune(settings(demos, tmp_path / used, encoder=encoder, num_demos=2, steps=2, streams_used=used))
    told = json.loads((out / "config.json").read_text())["policy"]
    assert told["streams_used"] == used and told["m_dropout"] == 0
    agent = Agent.from_pretrained(out, "cpu")
    if encoder in FROM_SCRATCH:
        assert next(agent.policy.encoder.parameters()).shape[1] == {"m": 4, "p": 5}[used]
    assert np.isfinite(agent.act(observation())).all()


def test_both_is_as_it_was(demos: Path, tmp_path: Path) -> None:
    plain, both = finetune(settings(demos, tmp_path / "a", num_demos=2)), finetune(settings(demos, tmp_path / "b", num_demos=2, streams_used="both"))
    assert (plain / "model.safetensors").read_bytes() == (both / "model.safetensors").read_bytes()
    assert "streams_used" not in (plain / "config.json").read_text() + (plain / "training.json").read_text()


def test_the_unused_stream_does_not_learn(demos: Path, tmp_path: Path) -> None:
    out = finetune(settings(demos, tmp_path / "out", num_demos=2, steps=3, streams_used="p", unfreeze=True))
    torch.manual_seed(0)
    before, after = build_streams(PolicyConfig(size=32)).state_dict(), Agent.from_pretrained(out, "cpu").policy.streams
    assert after is not None
    changed = {name.split(".")[0] for name, value in after.state_dict().items() if not torch.allclose(value, before[name].half().float(), atol=0, rtol=0)}
    assert changed == {"encoder_p"}


@pytest.mark.parametrize("encoder", ["pixelwise", "cnn_keypoints"])
@pytest.mark.parametrize("used", STREAMS)
def test_a_policy_of_one_stream_is_a_graph(encoder: str, used: str) -> None:
    policy = made(encoder, streams_used=used)
    program: Any = traced(policy, NORMALISATION).module()
    agent = Agent(policy, NORMALISATION, execute=8)
    obs = observation(3)
    with torch.no_grad():
        answered = program(*(torch.from_numpy(x)[None] for x in (obs["frames"], obs["proprio"], bag_of_words(obs["instruction"]).numpy())))
    assert np.abs(answered[0][0].numpy() - agent.act(obs)).max() < 1e-5


@pytest.mark.parametrize(
    ("used", "without", "message"),
    [("p", "m", "there is no m to take away"), ("p", "p", "nothing would be left"), ("m", "m", "nothing would be left"), ("both", "x", "without=x: unknown")],
)
def test_what_cannot_be_taken_away(used: str, without: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_without(used, without, "mine")
    with pytest.raises(BadInput, match=message):
        Agent(made("cnn_avg", streams_used=used), NORMALISATION, without=without)


def test_what_else_is_refused(demos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="streams_used=q: unknown; valid: both, m, p"):
        config(streams_used="q")
    with pytest.raises(BadInput, match="streams_used=q"):
        settings(demos, tmp_path, streams_used="q")
