"""`eval.say mode=line`: each sentence has one line of result; bad input is one line and nothing is played."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from envs.language.things import Thing
from envs.video import num_frames
from eval.saying.lines import converse, read_lines
from eval.saying.session import Session
from eval.saying.settings import Settings
from tests.eval.eval_fakes import FakeEnv, Reach
from whatwhere.command import parse
from whatwhere.errors import BadInput


class Named(FakeEnv):
    """As a task of version 1: two of its things are named, and the target is moved where another one is meant."""

    task, split = "pick_at_xy", "train"

    def reset(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        self.things = (Thing("red", "cube"), Thing("blue", "ball"))
        return super().reset(**options)

    def mean(self, order: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
        self.things = tuple(self.things[i] for i in order)
        self.target = self.target if order == [0, 1] else 1 - self.target
        return self._obs(), self._info()


def said(capsys: pytest.CaptureFixture[str], text: str, env: Any = None, **options: Any) -> list[str]:
    session = Session(env or FakeEnv(), Reach(), 5)
    converse(session, read_lines(io.BytesIO(text.encode())), "reach", **options)
    return capsys.readouterr().out.splitlines()


def test_a_line_for_each_sentence_scene_by_scene(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "reach the red square\n\n  Reach it!\n:new\n:scene\nreach the red square\n:quit\nnever read\n")
    assert lines[0] == lines[4].replace("scene 1", "scene 0") == "scene 0, for “reach the red square”"
    assert lines[1].startswith("“reach the red square” · success · position error ") and lines[1].endswith(" steps")
    assert lines[2].startswith("“Reach it!” · success") and lines[2].endswith("judged as “reach the red square”, the task's own instruction")
    assert lines[2].startswith(f"“Reach it!” ·{lines[1].split('·', 1)[1]} ·"), "the same scene"
    assert lines[3].startswith("scene 1") and lines[5].split("·")[2] != lines[1].split("·")[2] and len(lines) == 6


def test_success_is_that_of_what_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "take the RED cube.\ntake the blue ball\ntake something\ntake the green cube\n", Named())
    assert lines[0] == "scene 0: blue ball, red cube"
    assert "success" in lines[1] and "success" in lines[2] and lines[1].split("·")[2:] != lines[2].split("·")[2:], "another way to another place"
    assert "not judged: it names nothing" in lines[3] and "error" not in lines[3]
    assert "not judged: there is no green cube here" in lines[4]


def test_all_that_is_said_is_in_one_film(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = said(capsys, "reach it\nreach it\n", video=str(tmp_path / "new" / "film.mp4"))
    steps = int(lines[1].split("·")[3].split()[0])
    assert lines[-1].endswith("film.mp4: 2 sentences") and num_frames(tmp_path / "new" / "film.mp4") == 2 * (steps + 1 + 20)
    said(capsys, ":scene\n", video=str(tmp_path / "none.mp4"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"], "no film of nothing"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b":help\n", ":help: unknown; valid: :new, :scene, :quit, or a sentence"),
        (b"\xff\xfe\n", "line 1: its bytes are not UTF-8"),
        (b"x" * 20_000, "line 1: more than 10000 bytes"),
        (b"y" * 2000, "instruction: needs a text of at most 1000 characters"),
        (b"a\0b\n", "without zero bytes"),
    ],
)
def test_bad_lines_are_refused_or_asked_again(line: bytes, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(FakeEnv(), Reach(), 5)
    with pytest.raises(BadInput, match=message):
        converse(session, read_lines(io.BytesIO(line)), "reach")
    stream = io.BytesIO(line + (b"" if line.endswith(b"\n") else b"\n") + b"reach it\n")
    converse(session, read_lines(stream, is_asked=True), "reach", is_asked=True)
    told = capsys.readouterr()
    assert message in told.err and "“reach it” · success" in told.out


def settings(*words: str) -> Settings:
    return parse("eval.conf", "say", Settings, list(words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "task: missing"),
        (["task=pick_at_xi"], "task=pick_at_xi: unknown"),
        (["task=pick_at_xy", "video=x.mp4"], "video=x.mp4: is written with mode=line"),
        (["task=pick_at_xy", "mode=line", "video=x.avi"], "needs a name that ends in .mp4"),
        (["task=pick_at_xy", "mode=lines"], "mode=lines: unknown; valid: page, line"),
        (["task=pick_at_xy", "port=70000"], "port=70000: must be"),
    ],
)
def test_bad_options(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        settings(*words)


def test_the_task_is_the_checkpoint_s_unless_it_knows_several(tmp_path: Path) -> None:
    from tests.eval.test_without import saved

    assert settings(f"checkpoint={saved(tmp_path / 'one')}").evaluation.task_name == "pick_at_xy"
