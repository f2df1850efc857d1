"""Videos: their form, what they show, and which are kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest

from eval.observers import picture
from eval.observers.video import VideoObserver
from eval.playing.policies import Blind
from eval.rollout import rollout
from policy.look import Look
from tests.eval.eval_fakes import FakeEnv, Reach, Wander


def read(path):
    reader: Any = imageio.get_reader(path)
    with reader:
        return reader.get_meta_data(), np.stack([frame for frame in reader])  # noqa: C416 (list() would ask for its length, which is inf)


def test_video_of_an_episode(tmp_path):
    row = rollout(FakeEnv(), Reach(), 5, 0, [VideoObserver(tmp_path, "reach")])
    assert row["video"] == "videos/episode_0.mp4"
    meta, frames = read(tmp_path / row["video"])
    assert meta["codec"] == "h264"
    assert meta["pix_fmt"].startswith("yuv420p")
    assert meta["fps"] == 20
    assert frames.shape == (row["steps"] + 1 + 20, 480, 1120, 3), "the start, each step, and a second at the end"
    assert (frames[0] != frames[-1]).any()
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["episode_0.mp4"], "nothing unfinished is left"


def test_only_failures_are_kept(tmp_path):
    keep = VideoObserver(tmp_path, "x", "failures")
    won = rollout(FakeEnv(), Reach(), 5, 0, [keep])
    lost = rollout(FakeEnv(), Blind(Wander), 5, 1, [keep])
    assert won["success"]
    assert won["video"] is None
    assert not lost["success"]
    assert (tmp_path / lost["video"]).is_file()
    assert len(list((tmp_path / "videos").iterdir())) == 1


def test_recording_changes_nothing(tmp_path):
    plain, recorded = (rollout(FakeEnv(), Blind(Wander), 5, 2, observers) for observers in ([], [VideoObserver(tmp_path, "x")]))
    assert {**recorded, "wall_s": 0, "video": 0} == {**plain, "wall_s": 0, "video": 0}


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (2, 1, 32, 32, 3), dtype=np.uint8).repeat(2, axis=1)  # (c, 2, h, w, 3)
    still[1, 1, 8:16] = 0  # in the second camera something changed
    return still


def test_channels_as_pictures(frames):
    (frame, change, edges), (_, other_change, _) = picture.channels(frames)
    assert (frame == frames[0, 1]).all()
    assert (change == 127).all(), "no change is grey"
    assert (other_change[8:16] < 127).any()
    assert (other_change[:8] == 127).all()
    assert edges.dtype == np.uint8
    assert (edges[..., 2] == 127).all()


def test_keypoints_and_attention_are_drawn(frames):
    plain = np.asarray(picture.panel(frames, ("top", "wrist")))
    points = np.zeros((2, 1, 2), np.float32)
    heat = np.zeros((2, 12, 12), np.float32)
    heat[:, 3, 3] = 1
    dotted = np.asarray(picture.panel(frames, ("top", "wrist"), Look(points, heat)))
    rows, columns = np.nonzero((dotted != plain).any(axis=-1))
    assert len(rows)
    assert columns.max() < picture.PANEL / 3, "only the frames themselves are marked"
    shaded = np.asarray(picture.panel(frames, ("top", "wrist"), SimpleNamespace(keypoints=None, heat=heat)))
    assert (shaded != plain).any()
    assert plain.shape == (picture.HEIGHT, picture.PANEL, 3)
    for cameras in (1, 3):
        some = frames[:1].repeat(cameras, axis=0)
        assert np.asarray(picture.panel(some, ("a", "b", "c")[:cameras])).shape == plain.shape


def test_target_and_outcome_are_drawn(frames):
    scene, side = np.full((480, 640, 3), 90, np.uint8), picture.panel(frames, ("top", "wrist"))
    draw = lambda marks, outcome, errors: picture.compose(scene, side, "t", marks, errors, 1, 40, 20, "reach it", outcome)  # noqa: E731
    without = draw({}, ("running", None), [3.0, 2.0])
    for name in ("target", "goal"):
        marked = draw({name: np.array([320.0, 240.0])}, ("running", None), [3.0, 2.0])
        rows, columns = np.nonzero((marked != without).any(axis=-1))
        assert abs(rows.mean() - 240) < 1
        assert abs(columns.mean() - 320) < 1
    assert (draw({"target": np.array([np.nan, np.nan])}, ("running", None), [3.0, 2.0]) == without).all(), "a target behind the camera is not drawn"
    assert (draw({}, ("success", True), [3.0, 2.0]) != without).any()
    assert draw({}, ("failed", False), []).shape == (480, 1120, 3)
