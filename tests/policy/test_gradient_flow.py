"""Where the loss's gradient goes: even over all patches where they are averaged, uneven where they are not."""

from __future__ import annotations

import math

import pytest
import torch

from policy.encoders import ENCODERS, FROM_SCRATCH
from policy.gradient_flow import GradientFlow, evenness, gradient_flow
from policy.model import build
from tests.policy.small import awake, config, inputs
from whatwhere.errors import BadInput


def flow(encoder: str, rows: slice = slice(None)) -> GradientFlow:
    torch.manual_seed(0)
    policy = awake(build(config(encoder)))
    chunk, dim = policy.config.chunk, policy.config.action_dim
    actions = torch.randn(3, chunk, dim, generator=torch.Generator().manual_seed(1))
    return gradient_flow(policy, *(part[rows] for part in (*inputs(), actions, torch.ones(3, chunk, dtype=torch.bool))))


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name not in (*FROM_SCRATCH, "cls_alone")])
def test_gradient_reaches_the_patches_of_every_strategy(encoder: str) -> None:
    found = flow(encoder)
    summary = {name: value for name, value in found.summary().items() if value is not None}
    assert found.m.shape == found.p.shape and found.m.ndim == 3 and found.cls.shape == (*found.m.shape[:2], 2)
    assert all(math.isfinite(value) for value in summary.values()) and summary["patch"] > 0 and 0 < summary["m_share"] < 1
    if encoder.startswith("avg"):
        assert summary["entropy_m"] == pytest.approx(1, abs=1e-6) and summary["entropy_p"] == pytest.approx(1, abs=1e-6)
        torch.testing.assert_close(found.p, found.p[..., :1].expand_as(found.p))
    else:
        assert summary["entropy_p"] < 0.9999 and float(found.p.std(-1).min()) > 0


def test_no_patch_gets_any_below_cls_alone() -> None:
    found = flow("cls_alone")
    assert not found.m.any() and not found.p.any() and found.cls.all()
    assert found.summary() == {"patch": 0, "m_share": None, "cls_share": 1, "entropy_m": None, "entropy_p": None}


def test_figures_by_hand() -> None:
    m, p = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]), torch.tensor([[[2.0, 2.0, 2.0, 2.0]]])
    summary = GradientFlow(m, p, torch.tensor([[[4.0, 1.0]]])).summary()
    assert summary == pytest.approx({"patch": 10 / 8, "m_share": 0.2, "cls_share": 5 / 15, "entropy_m": 0.5, "entropy_p": 1.0})
    assert math.isnan(evenness(torch.zeros(2, 4)))


def test_a_sample_counts_alike_in_any_batch() -> None:
    """The gradient is of the sample's own loss, not of the batch's mean."""
    torch.testing.assert_close(flow("pixelwise").p[:1], flow("pixelwise", slice(0, 1)).p, rtol=1e-3, atol=1e-7)


def test_what_has_no_patches_is_refused() -> None:
    with pytest.raises(BadInput, match="encoder=cnn_keypoints: has no streams"):
        flow("cnn_keypoints")
