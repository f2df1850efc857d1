"""A folder of videos and pictures: what is found, what is decoded, what is cached, what is refused."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from policy.pretrain import video_folder
from policy.pretrain.clips import Clips
from policy.pretrain.listing import find_items
from policy.pretrain.video_folder import VideoFolder
from whatwhere.errors import BadInput


def film(frames: int = 12, height: int = 48, width: int = 64) -> np.ndarray:
    """A red square that goes right by 4 pixels a frame over grey."""
    clip = np.full((frames, height, width, 3), 90, np.uint8)
    for t in range(frames):
        clip[t, 16:32, 4 * t : 4 * t + 16] = (220, 30, 30)
    return clip


def column(frames: np.ndarray) -> np.ndarray:
    """Column of the red square's centre, in pixels."""
    red = (frames[..., 0].astype(int) - frames[..., 1]).clip(60) - 60
    return (red * np.arange(frames.shape[2])).sum((1, 2)) / red.sum((1, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    iio.imwrite(root / "a.mp4", film(), fps=10, codec="libx264", macro_block_size=1)
    iio.imwrite(root / "b.avi", film(8), fps=10, codec="mpeg4", macro_block_size=1)
    iio.imwrite(root / "c.webm", film(6), fps=10, codec="libvpx", macro_block_size=1)
    iio.imwrite(root / "d.gif", film(5), duration=100, loop=0)
    for place, names in (("frames", [f"f_{i}" for i in range(8, 12)]), ("photos", ["cat", "dog_7"])):
        (root / place).mkdir()
        for i, name in enumerate(names):
            Image.fromarray(film()[i]).save(root / place / f"{name}.png")
    Image.fromarray(film(1)[0]).convert("L").save(root / "photos" / "grey.jpg")
    (root / "notes.txt").write_text("not a video")
    return root


def test_videos_sequences_and_pictures_become_clips_and_images(folder: Path, tmp_path: Path) -> None:
    footage = VideoFolder(folder, tmp_path, short_px=24)
    assert dict(zip(footage.names, footage.shapes, strict=True)) == {
        "a.mp4": (12, 24, 32), "b.avi": (8, 24, 32), "c.webm": (6, 24, 32), "d.gif": (5, 24, 32), "frames": (4, 24, 32),
        "photos/cat.png": (1, 24, 32), "photos/dog_7.png": (1, 24, 32), "photos/grey.jpg": (1, 24, 32),
    }  # fmt: skip
    for index in range(5):
        frames = footage[index]
        assert isinstance(frames, np.memmap) and frames.dtype == np.uint8
        assert np.abs(column(frames) - (2 * np.arange(len(frames)) + 3.5)).max() < 0.6, footage.names[index]
    assert np.abs(footage[5].astype(int)[0, 20, 28] - 90).max() < 4


def test_what_is_a_sequence_can_be_said(folder: Path) -> None:
    assert "frames" in {item.name for item in find_items(folder).items}
    assert {item.name for item in find_items(folder, "images").items} >= {f"frames/f_{i}.png" for i in range(8, 12)}
    (clip,) = (item for item in find_items(folder, "clip").items if item.name == "frames")
    assert [path.stem for path in clip.files] == ["f_8", "f_9", "f_10", "f_11"], "by number, not by letter"
    assert "photos" in {item.name for item in find_items(folder, "clip").items}


def test_nothing_is_decoded_twice_and_a_cut_off_cache_is_made_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    frames = video_folder.frames
    monkeypatch.setattr(video_folder, "frames", lambda item, **options: decoded.append(item.name) or frames(item, **options))
    whole = VideoFolder(folder, tmp_path, short_px=24)
    assert len(decoded) == 8
    before = np.array(whole[1])
    decoded.clear()
    again = VideoFolder(folder, tmp_path, short_px=24, threads=3)
    assert not decoded and again.shapes == whole.shapes
    os.utime(folder / "a.mp4", (time.time(), time.time()))  # touched, but its content is known
    (tmp_path / f"{whole.keys[1]}.rgb").write_bytes(b"torn")
    mended = VideoFolder(folder, tmp_path, short_px=24)
    assert decoded == ["b.avi"] and mended.keys == whole.keys
    assert np.array_equal(mended[1], before)
    decoded.clear()
    assert VideoFolder(folder, tmp_path, short_px=32).keys != whole.keys and len(decoded) == 8, "other sizes lie beside them"


def test_a_broken_or_empty_file_is_named_and_left_out_or_stops_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    iio.imwrite(data / "good.mp4", film(), fps=10, macro_block_size=1)
    (data / "broken.mp4").write_bytes(os.urandom(2000))
    (data / "cut.mp4").write_bytes((data / "good.mp4").read_bytes()[:600])
    (data / "empty.avi").touch()
    Image.fromarray(film()[0]).save(data / "half.png")
    (data / "half.png").write_bytes((data / "half.png").read_bytes()[:90])
    footage = VideoFolder(data, tmp_path / "cache", short_px=24)
    assert footage.names == ["good.mp4"] and footage.skipped == ["broken.mp4", "cut.mp4", "empty.avi", "half.png"]
    said = capsys.readouterr().err
    assert all(name in said for name in footage.skipped)
    with pytest.raises(BadInput, match=r"broken\.mp4: cannot be read"):
        VideoFolder(data, tmp_path / "cache", short_px=24, strict=True)
    (data / "good.mp4").unlink()
    with pytest.raises(BadInput, match="no video or picture"):
        VideoFolder(data, tmp_path / "cache", short_px=24)


def test_fewer_frames_a_second_keep_the_time(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.mp4", film(), fps=12, codec="libx264", macro_block_size=1)
    kept = VideoFolder(tmp_path, tmp_path / "cache", short_px=48, fps=4.0)[0]
    assert np.abs(column(kept) - column(film()[::3])).max() < 1.2


def test_a_turned_film_and_a_turned_photograph_stand_upright(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "flat.mp4", film(), fps=12, codec="libx264", macro_block_size=1)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", "90", "-i", str(tmp_path / "flat.mp4")]
    subprocess.run([*ffmpeg, "-c", "copy", str(tmp_path / "turned.mp4")], check=True)
    subprocess.run([ffmpeg[0], "-v", "error", "-i", str(tmp_path / "turned.mp4"), str(tmp_path / "truth_%d.png")], check=True)
    truth = iio.imread(tmp_path / "truth_1.png")
    assert truth.shape == (64, 48, 3), "FFmpeg's own command turns it"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(film()[0]).save(tmp_path / "photo.png", exif=exif)
    footage = VideoFolder(tmp_path, tmp_path / "cache", short_px=48, image_folders="images")
    by_name = dict(zip(footage.names, range(99), strict=False))
    assert np.abs(footage[by_name["turned.mp4"]][0].astype(int) - truth).mean() < 3
    assert footage.shapes[by_name["photo.png"]] == (1, 64, 48)


def test_pairs_of_a_folder_of_all_sorts(folder: Path, tmp_path: Path) -> None:
    clips = Clips(VideoFolder(folder, tmp_path, short_px=32), size=24, scale=(0.4, 1.0))
    now, later = clips.pairs(0, 0, 64, 0.3, 4)
    assert now.shape == later.shape == (64, 24, 24, 3) and (now != later).any()
