"""Crops drawn once a clip: what changes inside them is motion and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policy.channels import m_channels
from policy.pretrain.crops import GLOBAL, LOCAL, cut, draw_box, multi_crop


def texture(height: int = 80, width: int = 100) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (height, width, 3), dtype=np.uint8)


def moving_square(frames: int = 3, step: int = 6, side: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """A still texture with a bright square that goes right; and where it is, (t, h, w)."""
    clip, where = np.stack([texture()] * frames), np.zeros((frames, 80, 100), bool)
    for t in range(frames):
        clip[t, 30 : 30 + side, 40 + t * step : 40 + t * step + side] = 255
        where[t, 30 : 30 + side, 40 + t * step : 40 + t * step + side] = True
    return clip, where


@pytest.mark.parametrize("seed", range(5))
def test_a_crop_shows_no_change_but_the_motion(seed: int) -> None:
    clip, where = moving_square()
    views = multi_crop(clip, np.random.default_rng(seed), size=64, local_size=32)
    masks = multi_crop(np.repeat(where[..., None], 3, -1).astype(np.uint8) * 255, np.random.default_rng(seed), size=64, local_size=32)
    assert views.whole.shape == (3, 64, 64, 3) and [view.shape for view in views.local] == [(3, 32, 32, 3)] * 2
    changed = 0
    for (before, after), (here, there) in zip(views.pairs, masks.pairs, strict=True):
        moved = (before != after).any(-1)
        assert not (moved & ~((here > 0) | (there > 0)).any(-1)).any(), "a pixel changed where nothing moved"
        changed += int(moved.sum())
    assert changed, "the square moves inside the large crop"


def test_a_still_clip_has_no_change_in_any_crop() -> None:
    views = multi_crop(np.stack([texture()] * 3), np.random.default_rng(1), size=64, local_size=32)
    assert len(views.pairs) == 3 * 2
    for before, after in views.pairs:
        pixels = [torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 255 for frame in (before, after)]
        assert not m_channels(pixels[0], pixels[1]).any()


def test_boxes_lie_inside_and_cover_the_share_that_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    for scale in (GLOBAL, LOCAL):
        shares = []
        for _ in range(300):
            top, left, h, w = draw_box(rng, 80, 100, scale)
            assert 0 <= top <= 80 - h and 0 <= left <= 100 - w
            shares.append(h * w / 80**2)
        assert scale[0] * 0.85 < min(shares) and max(shares) < scale[1] * 1.1
        assert abs(np.mean(shares) - sum(scale) / 2) < 0.05


def test_the_whole_square_is_cut_without_a_change_of_its_pixels() -> None:
    lefts = set()
    for seed in range(20):
        box = draw_box(np.random.default_rng(seed), 80, 100, (1.0, 1.0))
        assert box[0] == 0 and box[2:] == (80, 80)
        lefts.add(box[1])
        assert np.array_equal(cut(texture(), box, 80), texture()[:, box[1] : box[1] + 80])
    assert len(lefts) > 5, "anywhere along the longer side"


def test_a_crop_is_resized_with_a_filter() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = cut(stripes, (0, 0, 64, 64), 16)
    assert small.shape == (16, 16, 3) and abs(float(small.mean()) - 100) < 2 and small.std() < 15, "no moiré"
