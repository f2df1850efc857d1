from __future__ import annotations

import itertools

import pytest
import torch

from policy.config import PolicyConfig
from policy.encoders import ENCODERS
from policy.heads import HEADS
from policy.heads.decoder import count
from policy.heads.reader import CameraReader
from policy.model import build
from policy.shapes import Tokens, cell_centres
from tests.policy.small import config, inputs
from whatwhere.errors import BadInput


def size(encoder: str, head: str = "l1") -> int:
    policy = build(PolicyConfig(encoder=encoder, head=head))
    return count(policy.reader) + count(policy.head)


def test_heads_have_one_size_whatever_the_encoder_and_the_head() -> None:
    sizes = {name: size(*name) for name in [*((encoder, "l1") for encoder in ENCODERS), *(("pixelwise", head) for head in HEADS)]}
    assert max(sizes.values()) <= 1_000_000
    for (a, one), (b, other) in itertools.combinations(sizes.items(), 2):
        assert abs(one - other) <= 0.02 * one, (a, b)


def test_keypoints_are_expected_positions() -> None:
    """One token shouts: every keypoint must lie on it, with its values."""
    reader = CameraReader(dim=16, grid=(4, 4), num_pooled=0, num_grids=1, keypoints=8)
    with torch.no_grad():
        reader.scores.weight.zero_()
        reader.tokens = torch.nn.Identity()  # type: ignore[assignment]
        reader.scores = torch.nn.Linear(16, 8)
        reader.scores.weight.fill_(0.0)
        reader.scores.weight[:, 0] = 1.0
        reader.values = torch.nn.Linear(16, 22)
        values = torch.zeros(1, 16, 16)
        values[0, 6, 0] = 50.0  # row 1, column 2
        features, keypoints, attention = reader(Tokens(values, cell_centres((4, 4))))
    assert keypoints is not None
    assert attention is not None
    assert torch.allclose(keypoints, torch.tensor([0.25, -0.25]).expand(1, 8, 2), atol=1e-4)
    assert torch.allclose(attention.sum(dim=-1), torch.ones(1, 8))
    assert features.shape == (1, reader.dim_out)


@pytest.mark.parametrize("name", ENCODERS)
def test_attention_is_a_distribution_and_keypoints_lie_in_the_picture(name: str) -> None:
    policy = build(config(name)).eval()
    seen = policy.predict(*inputs())
    assert seen.actions.shape == (3, 8, 7)
    assert (seen.keypoints is None) == (policy.encoder.num_grids == 0)
    if seen.keypoints is not None and seen.attention is not None:
        assert seen.keypoints.shape == (3, 2, 8, 2)
        assert seen.keypoints.abs().max() < 1
        assert torch.allclose(seen.attention.sum(dim=-1), torch.ones(3, 2, 8), atol=1e-5)


def test_proprio_dropout_hides_each_number_by_itself_and_in_training_only() -> None:
    policy = build(config(proprio_dropout=0.5)).train()
    frames, proprio, task = (x.expand(64, *x.shape[1:]) for x in inputs(1))
    torch.manual_seed(0)
    assert kinds(policy(frames, proprio, task)) > 2 ** (proprio.shape[1] - 5)
    assert kinds(policy(frames, torch.zeros_like(proprio), task)) == 1  # a hidden number is the mean of all demonstrations
    assert kinds(policy.eval()(frames, proprio, task)) == 1


def kinds(actions: torch.Tensor) -> int:
    """How many different chunks there are."""
    return len(actions.detach().flatten(1).mul(1e3).round().unique(dim=0))


def test_too_small_a_budget_is_refused() -> None:
    with pytest.raises(BadInput, match="head_parameters=1000: too few"):
        build(config(head_parameters=1000))


def test_coordinates_stay_fp32_under_autocast() -> None:
    policy = build(config()).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        seen = policy.predict(*inputs())
    assert seen.keypoints is not None
    assert seen.keypoints.dtype == torch.float32
