"""The mixture of moving and static pairs: exact in expectation, a pure function of seed and step, held-out clips apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from policy.channels import m_channels
from policy.pretrain.batches import Batches
from policy.pretrain.clips import Clips
from policy.pretrain.footage import Joined, Play, digest, is_held_out
from whatwhere.errors import BadInput


class Made:
    """Footage whose pixels say where they come from: (source, frame, 0)."""

    def __init__(self, lengths: list[int], size: tuple[int, int] = (16, 16)) -> None:
        self.names = [f"{i}" for i in range(len(lengths))]
        self.shapes = [(length, *size) for length in lengths]

    def __getitem__(self, index: int) -> np.ndarray:
        frames = np.zeros((*self.shapes[index], 3), np.uint8)
        frames[..., 0], frames[..., 1] = index, np.arange(len(frames))[:, None, None]
        return frames


def play(folder: Path, clips: int = 12, frames: int = 6, takes: int = 6) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "frames.npy", np.random.default_rng(0).integers(0, 256, (clips, frames, 16, 16, 3), dtype=np.uint8))
    rows = [{"clip": i, "take": i * takes // clips, "camera": "x"} for i in range(clips)]
    (folder / "index.json").write_text(json.dumps({"clip_list": rows}))
    return folder


def test_the_mixture_is_exact_in_expectation_and_a_static_sample_has_no_change() -> None:
    clips = Clips(Made([9, 5, 1, 1, 30]))
    for static in (0.3, 0.0, 1.0):
        still, gaps = 0, []
        for step in range(40):
            now, later = clips.pairs(0, step, 100, static, max_gap=4)
            m = m_channels(*(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 for frames in (now, later)))
            zero = (m == 0).flatten(1).all(1).numpy()
            gap = later[:, 0, 0, 1].astype(int) - now[:, 0, 0, 1]
            assert np.array_equal(zero, gap == 0), "M is zero for a static sample, and for no other"
            assert np.array_equal(now[:, 0, 0, 0], later[:, 0, 0, 0]), "both frames are of one clip"
            still += int(zero.sum())
            gaps += gap[gap > 0].tolist()
        assert abs(still / 4000 - static) < 3.3 * (static * (1 - static) / 4000) ** 0.5 + 1e-9
        if gaps:
            assert set(gaps) == {1, 2, 3, 4}
            assert np.abs(np.bincount(gaps, minlength=5)[1:] / len(gaps) - 0.25).max() < 0.04


def test_images_give_static_samples_and_clips_are_drawn_by_their_length() -> None:
    clips = Clips(Made([9, 27, 1, 1]))
    moving = np.concatenate([clips.plan(0, step, 200, 0.0, 3).source for step in range(20)])
    assert set(moving) == {0, 1} and abs(np.mean(moving == 1) - 0.75) < 0.03
    static = np.concatenate([clips.plan(0, step, 200, 1.0, 3).source for step in range(20)])
    assert np.abs(np.bincount(static) / len(static) - 0.25).max() < 0.03


def test_a_gap_is_never_longer_than_its_clip() -> None:
    plan = Clips(Made([2, 3, 40])).plan(0, 0, 500, 0.0, 10)
    assert (plan.first + plan.gap < np.asarray([2, 3, 40])[plan.source]).all() and (plan.gap >= 1).all() and plan.gap.max() == 10
    assert (plan.gap[plan.source == 0] == 1).all()


def test_sampling_is_a_pure_function_of_seed_and_step() -> None:
    clips = Clips(Made([9, 5, 30], size=(20, 24)), size=16, scale=(0.4, 1.0))
    one = clips.pairs(3, 7, 32, 0.3, 4)
    clips.pairs(3, 8, 32, 0.3, 4)
    for other, same in ((clips.pairs(3, 7, 32, 0.3, 4), True), (clips.pairs(3, 8, 32, 0.3, 4), False), (clips.pairs(4, 7, 32, 0.3, 4), False)):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)) is same


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_reading_ahead_changes_nothing(threads: int) -> None:
    clips = Clips(Made([9, 5, 30], size=(20, 24)), size=16, scale=(0.4, 1.0))
    batches = Batches(clips.read, lambda step: clips.plan(0, step, 10, 0.3, 4), range(2, 9), threads)
    read = list(batches)
    assert len(read) == 7
    for step, pair in enumerate(read, 2):
        assert all(np.array_equal(a, b) for a, b in zip(pair, clips.pairs(0, step, 10, 0.3, 4), strict=True))


def test_held_out_clips_are_whole_takes_and_never_trained_on(tmp_path: Path) -> None:
    footage = Play(play(tmp_path / "play", clips=120, takes=40))
    clips = Clips(footage, holdout=0.2)
    apart, rest = ({footage.names[i] for i in which} for which in (clips.held_out, clips.training))
    assert apart and rest and not apart & rest and len(clips.held_out) == 3 * len(apart)
    assert apart == {name for name in footage.names if is_held_out(name, 0.2)}, "the same in every run, whatever else there is"
    assert abs(np.mean([is_held_out(f"clip {i}", 0.2) for i in range(4000)]) - 0.2) < 0.02
    trained = {int(i) for step in range(60) for i in clips.plan(0, step, 64, 0.3, 3).source}
    assert trained == set(clips.training.tolist())
    assert {int(i) for step in range(30) for i in clips.plan(0, step, 64, 0.3, 3, held_out=True).source} == set(clips.held_out.tolist())


def test_folders_are_joined(tmp_path: Path) -> None:
    one, two = Play(play(tmp_path / "one")), Made([4, 1])
    both = Joined({"one": one, "": two})
    assert list(both.names) == [f"one/{name}" for name in one.names] + ["0", "1"] and len(both.shapes) == 14
    assert np.array_equal(both[11], one[11]) and np.array_equal(both[12], two[0]) and np.array_equal(both[13], two[1])
    assert digest(both) != digest(one)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="need videos"):
        Clips(Made([1, 1])).plan(0, 0, 4, 0.3, 3)
    with pytest.raises(BadInput, match="not square"):
        Clips(Made([3], size=(16, 20)))
    with pytest.raises(BadInput, match="held out; nothing is left"):
        Clips(Made([3]), holdout=1.0)
    with pytest.raises(BadInput, match=r"frames\.npy"):
        Play(tmp_path)
    np.save(tmp_path / "frames.npy", np.zeros((2, 3, 8, 8, 3), np.float32))
    with pytest.raises(BadInput, match="needs uint8"):
        Play(tmp_path)
