"""Devices by name, and commands from a file. No simulator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from envs.demos import collect
from envs.demos.journal import Journal
from envs.teleop import DEVICES, device_class
from envs.teleop.device import Status
from envs.teleop.file import CommandFile
from whatwhere.command import command
from whatwhere.errors import BadInput

PEOPLE = [source for source in DEVICES if source != "file"]


def lines(path: Path, *rows: object) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        command("envs.conf", "collect", collect.Settings, collect.main, ["task=pick_at_xy", *arguments])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("source=mouse", "did you mean spacemouse?"),
        ("source=file", "commands: missing"),
        ("source=file commands=nowhere.jsonl", "no such file"),
        ("source=browser commands=x.jsonl", "only source=file"),
        ("source=browser num_workers=2", "one episode at a time"),
        ("source=browser port=-1", "port=-1"),
        ("source=browser host=0.0.0.0", "allow_hosts"),
        ("source=browser recover=maybe", "valid: ask, true, false"),
        ("source=browser idle=0", "idle=0"),
        ("source=browser view=8", "view=8"),
        ("source=browser view=10000", "view=10000: must be at least 32, at most 480"),
        ("source=browser seed=200000", "at most 199999; demonstrations take seeds 0–99999"),
        ("source=browser seed=100000", "development=true"),
    ],
)
def test_bad_settings_are_refused(capsys: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    assert message in refusal(capsys, *arguments.split())


@pytest.mark.parametrize("source", ["keyboard", "spacemouse", "gamepad"])
def test_windows_need_a_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, source: str, tmp_path: Path) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert "needs a screen, and DISPLAY is not set; source=browser works everywhere" in refusal(capsys, f"source={source}", f"out={tmp_path}")


@pytest.mark.parametrize("source", DEVICES)
def test_every_device_can_be_imported_without_a_screen_or_a_simulator(source: str) -> None:
    place = DEVICES[source]
    program = f"import sys; from envs.teleop import device_class; device_class({source!r})\n"
    program += "assert not {'mujoco', 'robosuite', 'cv2', 'pynput', 'evdev', 'hid'} & set(sys.modules), sorted(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env={"PATH": "/usr/bin"}, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 0, (place, done.stderr)


@pytest.mark.parametrize("source", DEVICES)
def test_every_device_is_one(source: str) -> None:
    made = device_class(source)
    assert all(callable(getattr(made, name)) for name in ("open", "begin", "read", "show", "close"))
    assert (made.paced, made.asks) == ((True, True) if source in PEOPLE else (False, False))


def test_commands_are_read_and_played_by_step(tmp_path: Path) -> None:
    rows = [{"seed": 3, "start": 7}, {"move": [0, 2, 0], "speed": 0.5}, {"turn": [0, 0, -1], "buttons": ["gripper"]}]
    device = CommandFile(lines(tmp_path / "commands.jsonl", *rows))
    assert device.begin(3, 6) == "skip" and device.begin(3, 8) == "end" and device.begin(4, 7) == "end"
    assert device.begin(3, 7) == "play"
    assert device.read().buttons == ("start",)
    device.show(Status("recording", steps=0), {})
    assert device.read() == device.read()
    assert (device.read().move, device.read().speed) == ((0, 1, 0), 0.5)
    device.show(Status("recording", steps=1), {})
    assert (device.read().turn, device.read().buttons, device.read().speed) == ((0, 0, -1), ("gripper",), 1)
    device.show(Status("recording", steps=2), {})
    assert device.read().buttons == ("save",)
    device.show(Status("done"), {})
    assert device.read().buttons == ("quit",)
    with pytest.raises(SystemExit, match="no room"):
        device.show(Status("review", message="no room", problem=True), {})


def test_a_journal_is_a_file_of_commands(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", {"seed": 1, "start": 2}, [{"action": [0.5, -1.0], "state": [0.0]}])
    journal.close()
    device = CommandFile(str(tmp_path / "journal.jsonl"))
    assert device.begin(1, 2) == "play"
    device.show(Status("recording"), {})
    np.testing.assert_array_equal(device.read().action, np.float32([0.5, -1]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2"),
        ("[1]", "line 2"),
        ({"move": [1, 2]}, "move: needs a list of 3"),
        ({"move": [1, 2, "3"]}, "finite number"),
        ({"move": [1, 2, float("nan")]}, "finite number"),
        ({"buttons": ["jump"]}, r"buttons\[0\]: needs"),
        ({"speed": None}, "finite number"),
        ({"action": [[1]]}, r"action\[0\]: needs a finite number"),
        ({"action": ["a"]}, "line 2"),
        ({"start": "x"}, "start: needs a whole number"),
        ({"start": 10**30}, "start: needs a number of at most 64 bits"),
        ({"action": [1e300]}, r"action\[0\]: needs a finite number from -1000000 to 1000000"),
        ({"action": [0.0], "arm_goal": [1, 2]}, "arm_goal: needs a list of 8 to 8"),
        ('{"move": [0, 0, 0], "move": [1, 1, 1]}', "the key 'move' stands twice"),
        ('{"move": ' + "[" * 10_000, "nested deeper than 64"),
    ],
)
def test_senseless_lines_are_named(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(BadInput, match=message) as refused:
        CommandFile(lines(tmp_path / "commands.jsonl", {"move": [0, 0, 0]}, row))
    assert "line 2" in str(refused.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no commands"):
        CommandFile(lines(tmp_path / "commands.jsonl", {"seed": 0, "start": 0}))
    with pytest.raises(BadInput, match="holds no demonstrations"):
        CommandFile(str(tmp_path))
