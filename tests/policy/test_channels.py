from __future__ import annotations

import pytest
import torch

from policy.channels import luminance, m_channels, p_channels, pair_channels
from whatwhere.errors import BadInput


def pictures(count: int = 2, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_m_is_exactly_zero_for_equal_frames() -> None:
    frame = pictures()
    assert torch.equal(m_channels(frame, frame.clone()), torch.zeros(2, 4, 16, 16))
    pair = (frame * 255).to(torch.uint8).permute(0, 2, 3, 1)[:, None].expand(-1, 2, -1, -1, -1)
    assert not pair_channels(pair).m.any()


def test_m_is_later_minus_earlier_with_rec601_luminance() -> None:
    before, after = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    after[:, 1] = 1.0  # green appears
    m = m_channels(before, after)
    assert torch.allclose(m[0, :, 3, 3], torch.tensor([0.587, 0.0, 1.0, 0.0]))
    assert luminance(torch.ones(1, 3, 2, 2)) == pytest.approx(torch.ones(1, 1, 2, 2))


def test_p_gradients_point_to_the_right_and_down() -> None:
    ramp = torch.linspace(0, 1, 9).expand(1, 3, 9, 9)  # brighter to the right
    p = p_channels(ramp)
    assert torch.allclose(p[0, 0, :, 1:-1], torch.tensor(0.25))  # two pixels of 1/8
    assert torch.allclose(p[0, 1], torch.zeros(9, 9), atol=1e-6)
    assert torch.allclose(p_channels(ramp.transpose(2, 3))[0, 1, 1:-1], torch.tensor(0.25))
    assert torch.allclose(p[0, 2:], ramp[0] - 0.5)


@pytest.mark.parametrize(("change", "frame"), [("past", 1), ("future", 0)])
def test_p_comes_from_the_frame_that_change_says(change: str, frame: int) -> None:
    pair = torch.rand(2, 3, 2, 8, 8, 3, generator=torch.Generator().manual_seed(1))  # (b, c, 2, h, w, 3)
    channels = pair_channels(pair, change)
    assert channels.m.shape == (2, 3, 4, 8, 8)
    assert torch.allclose(channels.p[:, :, 2:], pair[:, :, frame].movedim(-1, 2) - 0.5)
    other = pair.clone()
    other[:, :, 1 - frame] = 0.0  # P must not know the other frame
    assert torch.equal(pair_channels(other, change).p, channels.p)


def test_uint8_and_float_agree() -> None:
    pair = torch.randint(0, 256, (1, 2, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(pair_channels(pair).m, pair_channels(pair.float() / 255).m)


def test_unknown_change_is_refused() -> None:
    with pytest.raises(BadInput, match="change=pst: unknown; valid: past, future"):
        pair_channels(torch.zeros(1, 2, 8, 8, 3), "pst")
