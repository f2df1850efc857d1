"""A video is whole under its name, or not there and told of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from envs.video import VideoFile, num_frames
from tests.disks import fill
from whatwhere.errors import Failed
from whatwhere.film import Film

OPTIONS = ["-crf", "30", "-preset", "ultrafast", "-threads", "1", "-movflags", "+faststart"]


def noise(count: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, size, size, 3), dtype=np.uint8)


def test_a_video_holds_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.mp4"
    with VideoFile(path, 64, 64, 20, ["-crf", "0"], "yuv444p") as video:
        video.write(noise(3))
        video.write(noise(1)[0])
        assert not path.exists(), "it has no name before it is whole"
    assert [found.name for found in path.parent.iterdir()] == ["a.mp4"]
    assert num_frames(path) == video.count == 4
    frames = iio.imread(path)
    assert frames.shape == (4, 64, 64, 3) and np.abs(frames[:3].astype(int) - noise(3)).mean() < 3
    assert num_frames(tmp_path) == num_frames(tmp_path / "none.mp4") == 0


@pytest.mark.parametrize("name", ["12:30/a.mp4", "pipe:1.mp4", "file:a.mp4", "a|b.mp4", "-y.mp4", "%03d.mp4", "é (1) [2].mp4", " a .mp4"])
def test_a_name_is_a_name_whatever_it_means_to_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoFile(name, 64, 64, 20, OPTIONS) as video:
        video.write(noise(3))
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.mp4")] == [name]
    assert num_frames(name) == 3
    with Film(Path(name)) as film:
        assert len(list(film.frames())) == 3


def test_a_truncated_or_damaged_video_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoFile(path, 64, 64, 20, OPTIONS) as video:
        video.write(noise(20))
    whole = path.read_bytes()
    for length in (0, 50, len(whole) // 2, len(whole) - 500, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert num_frames(path) == 0
    path.write_bytes(b"\0" * len(whole))
    assert num_frames(path) == 0


@pytest.mark.parametrize("kilobytes", [16, 64, 200, 300])
def test_a_disk_that_fills_at_any_time(disk: Callable[[int], Path], kilobytes: int) -> None:
    """In the head, among the frames, or at the end, when ffmpeg moves the index to the front."""
    folder = disk(kilobytes)
    with (
        pytest.raises(Failed, match=r"a\.mp4: the video could not be written .*No space left on device") as failure,
        VideoFile(folder / "a.mp4", 128, 128, 20, OPTIONS) as video,
    ):
        video.write(noise(60, 128))
    assert "\n" not in str(failure.value)
    assert not list(folder.iterdir())


def test_an_ffmpeg_that_fails_dies_or_does_nothing_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = {
        "fails": "head -c 100000 > /dev/null; echo '[mp4 @ 0x1] it went wrong' >&2; exit 3",
        "dies": "kill -9 $$",
        "nothing": "cat > /dev/null",
        "lies": 'cat > /dev/null; head -c 5000 /dev/urandom > "${@: -1}"',
    }
    for name, script in fakes.items():
        fake = tmp_path / name
        fake.write_text(f"#!/bin/bash\n{script}\n")
        fake.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
        says = {"fails": "exit code 3: it went wrong", "dies": "exit code -9", "nothing": "it is not whole", "lies": "it is not whole"}[name]
        with pytest.raises(Failed, match=says), VideoFile(tmp_path / "out" / "a.mp4", 64, 64, 20, OPTIONS) as video:
            video.write(noise(50))
        assert not list((tmp_path / "out").iterdir())
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "missing"))
    with pytest.raises(Failed, match="ffmpeg"), VideoFile(tmp_path / "a.mp4", 64, 64, 20, OPTIONS):
        pass


def test_an_error_meanwhile_leaves_no_file_and_no_process(tmp_path: Path) -> None:
    with pytest.raises(KeyError), VideoFile(tmp_path / "a.mp4", 64, 64, 20, OPTIONS) as video:  # noqa: PT012
        video.write(noise(5))
        raise KeyError
    assert not list(tmp_path.iterdir())
    assert str(tmp_path) not in subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout
    with VideoFile(tmp_path / "a.mp4", 64, 64, 20, OPTIONS) as video:
        video.write(noise(5))
        video.drop()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_an_older_video(disk: Callable[[int], Path]) -> None:
    folder = disk(512)
    with VideoFile(folder / "a.mp4", 64, 64, 20, OPTIONS) as video:
        video.write(noise(2))
    fill(folder)
    with pytest.raises(Failed), VideoFile(folder / "a.mp4", 64, 64, 20, OPTIONS) as video:
        video.write(noise(30))
    assert num_frames(folder / "a.mp4") == 2 and os.listdir(folder) in (["a.mp4", "ballast"], ["ballast", "a.mp4"])
