"""Looping pictures of videos: what they show, how long, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from envs.video import VideoFile
from eval import animate
from whatwhere.command import parse
from whatwhere.errors import BadInput

HZ, FRAMES = 20, 20


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A second in which a grey picture grows lighter."""
    path = tmp_path / "a.mp4"
    with VideoFile(path, 48, 96, HZ, ("-crf", "10")) as file:
        for i in range(FRAMES):
            file.write(np.full((48, 96, 3), 40 + 10 * i, np.uint8))
    return path


def settings(*arguments: str) -> animate.Settings:
    return parse("eval.conf", "animate", animate.Settings, list(arguments))


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_a_picture_shows_the_video_and_loops(video: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = video.with_suffix(f".{ending}")
    animate.main(settings(f"video={video}", f"out={out}", "width=64"))
    assert "64 × 32 pixels, 1.0 s" in capsys.readouterr().out
    with Image.open(out) as film:
        assert film.info["loop"] == 0
        shown = [(np.asarray(frame.convert("L")).mean(), frame.info["duration"]) for frame in ImageSequence.Iterator(film)]
    assert [length for _, length in shown] == [100] * (FRAMES // 2)
    assert [light for light, _ in shown] == pytest.approx([40 + 20 * i for i in range(FRAMES // 2)], abs=6)


def test_without_out_it_lies_beside_the_video(video: Path) -> None:
    animate.main(settings(f"video={video}", "width=32"))
    assert video.with_suffix(".webp").is_file()


@pytest.mark.parametrize(
    ("argument", "said"),
    [("video=null", "video: missing"), ("out=a.mp4", r"must end in \.webp or \.gif"), ("width=0", "at least 16"), ("width=5000", "at most 4096"),
     ("hz=0", "at least 1"), ("hz=51", "at most 50"), ("quality=-1", "at least 0"), ("quality=101", "at most 100")],
)  # fmt: skip
def test_settings_are_checked(argument: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        settings("video=a.mp4", argument)


def test_what_is_no_whole_video_is_refused(video: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        animate.main(settings("video=nowhere.mp4"))
    text = video.with_name("text.mp4")
    text.write_text("not a video")
    cut = video.with_name("cut.mp4")
    cut.write_bytes(video.read_bytes()[:-200])
    for path in (text, cut):
        with pytest.raises(BadInput, match=path.name):
            animate.main(settings(f"video={path}"))
        assert not path.with_suffix(".webp").exists()
