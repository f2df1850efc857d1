from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from policy.channels import pair_channels
from policy.config import PolicyConfig
from policy.encoders import ENCODERS
from policy.model import build
from tests.policy.small import config, inputs
from whatwhere.errors import BadInput


@pytest.mark.parametrize("name", ENCODERS)
def test_batch_size_does_not_change_results(name: str) -> None:
    policy = build(config(name)).eval()
    frames, proprio, task = inputs(4)
    with torch.no_grad():
        together = policy(frames, proprio, task)
        alone = torch.cat([policy(frames[i : i + 1], proprio[i : i + 1], task[i : i + 1]) for i in range(4)])
    assert together.shape == (4, 8, 7)
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_input_matters(name: str) -> None:
    policy: Any = build(config(name)).eval()
    frames, proprio, task = inputs(1)
    with torch.no_grad():
        policy.head.act[-1].weight.mul_(100)  # the head starts near zero; look at what it would do
        base = policy(frames, proprio, task)
        for camera in range(2):
            for moment in range(2):
                other = frames.clone()
                other[:, camera, moment] = 0
                assert not torch.allclose(policy(other, proprio, task), base, atol=1e-4), (camera, moment)
        assert not torch.allclose(policy(frames, proprio + 1, task), base, atol=1e-4)
        assert not torch.allclose(policy(frames, proprio, task + 1), base, atol=1e-4)


def test_cached_tokens_give_what_frames_give() -> None:
    policy = build(config()).eval()
    frames, proprio, task = inputs()
    with torch.no_grad():
        tokens = policy.see(pair_channels(frames))
        assert tokens.m_patches.shape == (3, 2, 16, 64)
        assert torch.allclose(policy.decide(policy.recall(tokens), proprio, task).actions, policy(frames, proprio, task), atol=1e-6)
        half = policy.decide(policy.recall(tokens.map(torch.Tensor.half)), proprio, task).actions
    assert torch.allclose(half, policy(frames, proprio, task), atol=1e-2)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_moved_pictures_move_keypoints(name: str) -> None:
    policy = build(config(name)).eval()
    frames, proprio, task = inputs()
    by = torch.tensor([[0.1, -0.2], [0.0, 0.0], [0.3, 0.1]])
    with torch.no_grad():
        plain, moved = policy.predict(frames, proprio, task), policy.predict(frames, proprio, task, by)
    if plain.keypoints is None or moved.keypoints is None:  # an average has no place that could be moved
        assert torch.equal(plain.actions, moved.actions)
    else:
        assert torch.allclose(moved.keypoints, plain.keypoints + by[:, None, None], atol=1e-5)


@pytest.mark.parametrize("name", ["pixelwise", "cnn_keypoints"])
def test_m_dropout_shows_no_change(name: str) -> None:
    policy = build(config(name, m_dropout=0.999999)).train()
    frames, proprio, task = inputs()
    still = frames[:, :, 1:].expand(-1, -1, 2, -1, -1, -1)
    with torch.no_grad():
        dropped = policy(frames, proprio, task)
        if policy.streams is not None:
            cached = policy.decide(policy.recall(policy.see(pair_channels(frames))), proprio, task).actions
            assert torch.allclose(cached, dropped, atol=1e-5)
        policy.eval()
        assert torch.allclose(policy(still, proprio, task), dropped, atol=1e-5)
        assert not torch.allclose(policy(frames, proprio, task), dropped, atol=1e-5)


def test_m_dropout_is_of_a_sample_with_all_its_cameras() -> None:
    policy = build(config(m_dropout=0.5)).train()
    frames, proprio, task = (x.expand(64, *x.shape[1:]) for x in inputs(1))
    torch.manual_seed(0)
    assert len(policy(frames, proprio, task).flatten(1).mul(1e3).round().unique(dim=0)) == 2


def test_frozen_streams_stay_and_the_rest_learns() -> None:
    policy = build(config()).train()
    policy(*inputs()).square().sum().backward()
    assert policy.streams is not None
    assert not policy.streams.training
    assert all(p.grad is None for p in policy.streams.parameters())
    assert all(p.grad is not None for name, p in policy.named_parameters() if not name.startswith("streams."))
    thawed = build(config(frozen_streams=False)).train()
    thawed(*inputs()).square().sum().backward()
    assert all(p.grad is not None for p in thawed.parameters())


def test_config_round_trips_through_json() -> None:
    for one in (PolicyConfig(), config("cnn_avg", cameras=("a",), m_dropout=0.2), config(fusion="gating", cls_fusion="mlp")):
        assert PolicyConfig.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "pixelwize"}, "encoder=pixelwize: unknown.*did you mean pixelwise"),
        ({"fusion": "sum"}, "fusion=sum: unknown"),
        ({"head": "mlp"}, "head=mlp: unknown"),
        ({"change": "now"}, "change=now: unknown"),
        ({"sharing": "shared", "fusion": "mlp"}, "set cls_fusion=mlp too"),
        ({"cameras": ()}, "cameras="),
        ({"cameras": ("a", "a")}, "cameras="),
        ({"chunk": 0}, "chunk=0"),
        ({"size": 90}, "size=90: must be a multiple"),
        ({"m_dropout": 1.0}, "m_dropout=1.0"),
    ],
)
def test_bad_configs_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        config(**changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encodr": "pixelwise"}, "policy: 'encodr': no such key.*did you mean encoder"),
        ({"chunk": "x"}, "policy: chunk: needs a whole number, found 'x'"),
        ({"streams": 3}, "policy: streams: needs an object, found 3"),
        ({"streams": {"dpth": 3}}, "dpth"),
    ],
)
def test_bad_dicts_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        PolicyConfig.from_dict(values)


@pytest.mark.parametrize(("frozen", "times"), [(True, 1), (False, 3)])
def test_what_frozen_streams_say_of_no_change_is_asked_once(frozen: bool, times: int) -> None:
    policy = build(config(m_dropout=0.999999, frozen_streams=frozen)).train()
    assert policy.streams is not None
    tokens = policy.see(pair_channels(inputs(2)[0]))
    asked, still = [], policy.streams.still
    policy.streams.still = lambda: asked.append(0) or still()  # type: ignore[method-assign]
    told = [policy.recall(tokens).m_patches for _ in range(3)]
    assert len(asked) == times
    for one in told:
        torch.testing.assert_close(one, still()[1][:, None].expand_as(one), rtol=0, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        policy.recall(tokens)
    assert len(asked) == times + 1, "in another precision it says another thing"
