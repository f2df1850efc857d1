"""`python -m envs.view`: a video and a line for each episode, without a screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from envs.experts import ZeroPolicy
from envs.video import num_frames
from envs.view import Settings, line, main, record, side_by_side
from tests.disks import fill, one_line, run
from tests.eval.eval_fakes import FakeEnv
from whatwhere.errors import BadInput, Failed
from whatwhere.settings import parse


def settings(*arguments: str) -> Settings:
    return parse("envs.conf", "view", Settings, arguments)


def test_it_writes_a_video_and_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "pick.mp4"
    main(settings("task=pick_at_xy", f"out={out}"))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("episode 0 · success · ")
    frames = iio.imread(out)
    assert frames.shape == (int(printed[0].split(" · ")[2].split()[0]) + 1, 480, 880, 3)
    assert [path.name for path in out.parent.iterdir()] == ["pick.mp4"]


def test_a_full_disk_is_told_of_and_leaves_no_video(disk: Callable[[int], Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = disk(512)
    given = settings("task=pick_at_xy", "policy=zero", f"out={folder / 'a.mp4'}")
    ballast = fill(folder)
    with pytest.raises(Failed, match=r"a\.mp4: the video could not be written .*No space left"):
        record(_fake(), ZeroPolicy(2), given)
    assert [path.name for path in folder.iterdir()] == ["ballast"]
    ballast.unlink()
    record(_fake(), ZeroPolicy(2), given)
    assert num_frames(folder / "a.mp4") == 41
    assert "40 steps" in capsys.readouterr().out


def _fake() -> Any:
    return FakeEnv()


def test_a_folder_that_cannot_be_written_is_told_of_at_once(tmp_path: Path, sealed: Callable[[Path], Path]) -> None:
    (tmp_path / "here").mkdir()
    here = sealed(tmp_path / "here")
    one_line(run("envs.view", "task=pick_at_xy", cwd=here), 2, "out=outputs/view: cannot be written (Read-only file system); choose another out=")


def test_the_pictures_stand_beside_the_scene() -> None:
    frames = np.stack([np.full((96, 96, 3), value, np.uint8) for value in (10, 20, 30)])
    picture = side_by_side(np.zeros((480, 640, 3), np.uint8), frames)
    assert picture.shape == (480, 800, 3)
    assert [picture[row, 700, 0] for row in (80, 240, 400)] == [10, 20, 30]


def test_a_line_says_what_happened() -> None:
    info = {"success": False, "failure": None, "position_error_cm": 3.456, "is_relation_correct": True, "init_hash": "ab"}
    assert line(2, 75, info) == "episode 2 · out of time · 75 steps · position error 3.46 cm · relation correct · start ab"
    assert "bad_action" in line(0, 1, info | {"failure": "bad_action"})


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("task=pick", "did you mean pick_at_xy"),
        ("policy=learned", "valid: expert, zero, random"),
        ("episodes=0", "episodes=0"),
        ("seed=-1", "seed=-1"),
        ("out=pick.avi", "ends in .mp4"),
        ("rendering=slow", "valid: fast, exact"),
    ],
)
def test_what_it_refuses(argument: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        settings(*(["task=pick_at_xy"] if not argument.startswith("task") else []), argument)
