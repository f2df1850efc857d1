"""A gamepad on this machine: events as the Linux kernel gives them, without one and without a screen."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from envs.teleop import gamepad as module
from envs.teleop.device import Status
from envs.teleop.gamepad import ABS, EAST, KEY, LEFT_SHOULDER, RIGHT_SHOULDER, SELECT, SOUTH, START, Gamepad
from whatwhere.errors import BadInput

evdev = pytest.importorskip("evdev", reason="needs evdev, which is for Linux and has no wheels")


class Pad:
    """What evdev.InputDevice shows of a pad with sticks from 0 to 255."""

    codes: dict[int, list[int]] = {KEY: [SOUTH, EAST, START], ABS: [0, 1, 3, 4]}
    there = True

    def __init__(self, path: str = "") -> None:
        self.events: list[Any] = []
        self.closed = False

    def capabilities(self, absinfo: bool) -> dict[int, list[int]]:
        return self.codes

    def absinfo(self, code: int) -> Any:
        return SimpleNamespace(min=0, max=255)

    def read_one(self) -> Any:
        if not self.there:
            raise OSError(errno.ENODEV, "No such device")
        return self.events.pop(0) if self.events else None

    def close(self) -> None:
        self.closed = True

    def tell(self, kind: int, code: int, value: int) -> None:
        self.events.append(SimpleNamespace(type=kind, code=code, value=value))


class Keyboard(Pad):
    codes: dict[int, list[int]] = {KEY: [30, 31]}


@pytest.fixture
def pad(monkeypatch: pytest.MonkeyPatch) -> Pad:
    one = Pad()
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(evdev, "list_devices", lambda: ["keyboard", "pad"])
    monkeypatch.setattr(evdev, "InputDevice", lambda path: one if path == "pad" else Keyboard())
    window = SimpleNamespace(buttons=list, show=lambda *_: None, close=lambda: None)
    monkeypatch.setattr(module, "Window", lambda cameras: window)
    return one


@pytest.fixture
def device(pad: Pad) -> Gamepad:
    one = Gamepad()
    one.open(SimpleNamespace(cameras=["agentview"]))
    return one


def test_sticks_move_and_turn(device: Gamepad, pad: Pad) -> None:
    assert device.read().is_still
    for code, value in ((0, 255), (1, 0), (3, 0), (4, 255)):
        pad.tell(ABS, code, value)
    command = device.read()
    assert command.move == (1, 1, -1) and command.turn == (0, 0, 1) and command.present
    assert device.read() == command  # sticks stay where they are without further events
    pad.tell(ABS, 0, 140)
    assert device.read().move[0] == 0  # the dead zone


def test_buttons_are_told_once_and_depend_on_the_state(device: Gamepad, pad: Pad) -> None:
    for code in (SOUTH, EAST, SELECT):
        pad.tell(KEY, code, 1)
        pad.tell(KEY, code, 0)
    assert device.read().buttons == ("gripper", "drive", "discard") and device.read().buttons == ()
    for state, wanted in (("ready", ("start",)), ("recording", ()), ("review", ("save",)), ("offer", ("save",))):
        device.show(Status(state), {})
        pad.tell(KEY, START, 1)
        assert device.read().buttons == wanted


def test_shoulders_change_the_speed_within_bounds(device: Gamepad, pad: Pad) -> None:
    speed = device.read().speed
    pad.tell(KEY, RIGHT_SHOULDER, 1)
    assert device.read().speed == pytest.approx(speed + 0.1)
    for _ in range(30):
        pad.tell(KEY, LEFT_SHOULDER, 1)
    assert device.read().speed == pytest.approx(0.1)


def test_a_pad_that_is_pulled_out_stops_the_arm_and_may_come_back(device: Gamepad, pad: Pad, monkeypatch: pytest.MonkeyPatch) -> None:
    pad.tell(ABS, 0, 255)
    assert not device.read().is_still
    pad.there = False
    with monkeypatch.context() as patch:
        patch.setattr(evdev, "list_devices", list)
        command = device.read()
        assert command.is_still and not command.present and not device.read().present
    pad.there = True
    device.read()
    assert device.read().present and device.read().is_still
    device.close()
    assert pad.closed


def test_no_gamepad_is_bad_input(monkeypatch: pytest.MonkeyPatch, pad: Pad) -> None:
    monkeypatch.setattr(evdev, "list_devices", lambda: ["keyboard"])
    with pytest.raises(BadInput, match="source=gamepad: none found"):
        Gamepad()
