"""Ways to compute an answer: how far each is from the reference, and which one `auto` takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from policy.agent import Agent
from policy.channels import pair_channels
from policy.inference import INFERENCES, bf16, choice
from policy.inference.bf16 import Bf16
from policy.inference.plain import Plain
from policy.language.bag import bag_of_words
from policy.model import build
from policy.storage.checkpoint import load
from policy.transforms import Affine
from tests.policy.small import PROPRIO, config, inputs, observation
from whatwhere.errors import BadInput

NORMALISATION = {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}
BOUND = 0.03  # on a number of an action, of a range of 2


def pictures(seed: int, shape: tuple[int, ...] = (2, 2, 96, 96, 3)) -> np.ndarray:
    """Blocks of colour that move a little: more like pictures than noise is."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (shape[0], 12, 12, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    return np.stack([coarse, np.roll(coarse, 3, axis=2)], axis=1)


@pytest.mark.parametrize("way", INFERENCES)
def test_answers_are_near_the_reference(way: str) -> None:
    reference, agent = (Agent.from_pretrained("pick_at_xy/pixelwise", "cpu", execute=8, inference=name) for name in ("plain", way))
    assert agent.inference == way
    for seed in range(4):
        obs = {"frames": pictures(seed), "proprio": np.zeros(10, np.float32), "instruction": "pick up the red cube"}
        obs["frames"][:, 0] = obs["frames"][:, 1] if seed == 0 else obs["frames"][:, 0]  # as after a reset
        assert np.abs(agent.act(obs) - reference.act(obs)).max() <= (0 if way == "plain" else BOUND)
        assert np.array_equal(agent.act(obs), agent.act(obs))  # the same again


def test_plain_is_the_policy_itself() -> None:
    policy = build(config()).eval()
    frames, proprio, task = inputs(1)
    answer = Plain(policy, NORMALISATION)(frames[0].numpy(), proprio[0].numpy(), task[0].numpy())
    with torch.no_grad():
        assert torch.equal(answer.actions, policy(frames, proprio, task))


@pytest.mark.parametrize("moving", [(), (0,), (1,), (0, 1)])
def test_change_is_computed_only_where_something_moved(moving: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load("pick_at_xy/pixelwise")
    way, frames = Bf16(loaded.policy, loaded.normalisation), pictures(0)
    for camera in {0, 1} - set(moving):
        frames[camera, 0] = frames[camera, 1]
    seen, look = [], way.m.forward_features
    monkeypatch.setattr(way.m, "forward_features", lambda m: seen.append(len(m)) or look(m))
    answer = way(frames, np.zeros(10, np.float32), bag_of_words("").numpy())
    assert seen == ([len(moving)] if moving else [])
    full = Plain(loaded.policy, loaded.normalisation)(frames, np.zeros(10, np.float32), bag_of_words("").numpy())
    assert (answer.actions - full.actions).abs().max() <= BOUND


@pytest.mark.parametrize("encoder", ["pixelwise", "avg_late"])
def test_plain_looks_up_what_m_says_where_nothing_moved_bit_for_bit(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With something moved before one camera alone both are computed, as ever: in another batch the last bit would be another."""
    policy = build(config(encoder)).eval()
    assert policy.streams is not None
    way, asked, look = Plain(policy, NORMALISATION), [], policy.streams.encoder_m.forward_features
    monkeypatch.setattr(policy.streams.encoder_m, "forward_features", lambda m: asked.append(len(m)) or look(m))
    for seed, still in enumerate(((0, 1), (0, 1), (1,), (), (0, 1))):
        frames, proprio, task = inputs(1, seed)
        for camera in still:
            frames[:, camera, 0] = frames[:, camera, 1]
        answer = way(frames[0].numpy(), proprio[0].numpy(), task[0].numpy())
        told = len(asked)
        with torch.inference_mode():
            assert torch.equal(answer.actions, policy(frames, proprio, task))
        del asked[told:]
    assert asked == [2, 2, 2], "once for all that stood still, and where something moved"


@pytest.mark.parametrize(("most", "computed"), [(bf16.NEARLY, 0), (bf16.NEARLY + 1, 2)])
def test_a_quiet_cameras_noise_is_no_change(most: int, computed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load("pick_at_xy/pixelwise")
    way, frames = Bf16(loaded.policy, loaded.normalisation), pictures(0).clip(20, 220)
    noise = np.random.default_rng(0).integers(-most, most + 1, frames[:, 0].shape)
    noise[:, 0, 0, 0] = most
    frames[:, 0] = frames[:, 1] + noise
    seen, look = [], way.m.forward_features
    monkeypatch.setattr(way.m, "forward_features", lambda m: seen.append(len(m)) or look(m))
    words = bag_of_words("pick up the red cube").numpy()
    answer = way(frames, np.zeros(10, np.float32), words)
    assert sum(seen) == computed and torch.equal(way(frames, np.zeros(10, np.float32), words).actions, answer.actions)


def test_without_change_the_stream_says_what_it_says_of_two_equal_frames() -> None:
    policy = load("pick_at_xy/pixelwise").policy
    assert policy.streams is not None
    frames = torch.from_numpy(pictures(0))[None]
    frames[:, :, 0] = frames[:, :, 1]
    with torch.no_grad():
        tokens, (cls, patches) = policy.see(pair_channels(frames)), policy.streams.still()
    assert torch.allclose(tokens.m_cls[0], cls.expand(2, -1), atol=1e-5) and torch.allclose(tokens.m_patches[0], patches.expand(2, -1, -1), atol=1e-5)


@pytest.mark.parametrize(("encoder", "native", "way"), [("pixelwise", True, "bf16"), ("pixelwise", False, "plain"), ("cnn_keypoints", True, "plain")])
def test_auto(encoder: str, native: bool, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "is_native", lambda device: native)
    assert Agent(build(config(encoder)), NORMALISATION, inference="auto").inference == way


@pytest.mark.parametrize(
    ("encoder", "inference", "message"),
    [
        ("pixelwise", "fp16", "inference=fp16: unknown; valid: auto, plain, bf16, FILE.onnx"),
        ("cnn_keypoints", "bf16", "cnn_keypoints has no streams"),
        ("pixelwise", "there.onnx", "there.onnx.json: no such file"),
    ],
)
def test_refusals(encoder: str, inference: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=message):
        Agent(build(config(encoder)), NORMALISATION, inference=inference).act(observation())
