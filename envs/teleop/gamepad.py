"""`source=gamepad`: a gamepad plugged into this Linux machine, with a window. One plugged into another machine works through source=browser."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from envs.teleop.device import Command, Status
from envs.teleop.window import Window, check_screen
from whatwhere.errors import BadInput

# Codes of the Linux gamepad specification (kernel documentation, input/gamepad): the same for every pad whose driver follows it.
KEY, ABS = 1, 3
SOUTH, EAST, LEFT_SHOULDER, RIGHT_SHOULDER, SELECT, START = 0x130, 0x131, 0x136, 0x137, 0x13A, 0x13B
AXES = {0x00: "left x", 0x01: "left y", 0x03: "right x", 0x04: "right y"}
DEAD_ZONE = 0.15
SPEED, SPEED_STEP = 0.4, 0.1


class Gamepad:
    """Left stick: move; right stick: up, down and turn; A: gripper; B: arm or base; Start: start and save; Back: discard; shoulders: speed."""

    paced, asks = True, True
    note = "left stick: move | right stick: up, down, turn | A: gripper | B: arm or base | Start: start, save | Back: discard | LB RB: speed"

    def __init__(self) -> None:
        """Raises BadInput without a screen or without a gamepad."""
        check_screen("gamepad")
        try:
            self._evdev: Any = importlib.import_module("evdev")
        except ImportError:
            raise BadInput("source=gamepad: needs Linux and the package evdev; source=browser takes gamepads everywhere") from None
        self._pad: Any = self._find()
        if self._pad is None:
            raise BadInput("source=gamepad: none found among the input devices that may be read (group input?); source=browser takes gamepads everywhere")
        self._speed, self._status = SPEED, Status()
        self._sticks: dict[str, float] = dict.fromkeys(AXES.values(), 0.0)

    def open(self, env: Any) -> None:
        self._window = Window(list(env.cameras))
        print(self.note, flush=True)

    def begin(self, seed: int, start: int) -> Literal["play", "skip", "end"]:
        return "play"

    def read(self) -> Command:
        pressed = self._window.buttons()
        try:
            pressed += self._drain() if self._pad is not None else []
        except OSError:  # unplugged
            self._pad, self._sticks = None, dict.fromkeys(AXES.values(), 0.0)
        if self._pad is None:
            self._pad = self._find()
            return Command(buttons=tuple(pressed), present=False)
        x, y, turn, up = (0.0 if abs(value) < DEAD_ZONE else value for value in self._sticks.values())
        return Command((x, -y, -up), (0.0, 0.0, -turn), self._speed, tuple(pressed))

    def show(self, status: Status, pictures: Mapping[str, np.ndarray]) -> None:
        self._status = status
        self._window.show(status, pictures, "the gamepad is gone: plug it in again" if self._pad is None else f"{self.note} ({self._speed:.0%})")

    def close(self) -> None:
        if hasattr(self, "_window"):
            self._window.close()
        if self._pad is not None:
            self._pad.close()

    def _find(self) -> Any:
        for path in self._evdev.list_devices():
            device = self._evdev.InputDevice(path)
            found = device.capabilities(absinfo=False)
            if SOUTH in found.get(KEY, ()) and set(AXES) <= set(found.get(ABS, ())):
                return device
            device.close()
        return None

    def _drain(self) -> list[str]:
        """Takes all events that came since the last call. Raises OSError if the gamepad is gone."""
        pressed = []
        while (event := self._pad.read_one()) is not None:
            if event.type == ABS and event.code in AXES:
                info = self._pad.absinfo(event.code)
                middle, half = (info.max + info.min) / 2, (info.max - info.min) / 2
                self._sticks[AXES[event.code]] = float(np.clip((event.value - middle) / half, -1, 1))
            elif event.type == KEY and event.value == 1:
                pressed += self._button(event.code)
        return pressed

    def _button(self, code: int) -> list[str]:
        if code in (LEFT_SHOULDER, RIGHT_SHOULDER):
            self._speed = float(np.clip(self._speed + (SPEED_STEP if code == RIGHT_SHOULDER else -SPEED_STEP), SPEED_STEP, 1.0))
        start = {"ready": ["start"], "recording": []}.get(self._status.state, ["save"])
        return {SOUTH: ["gripper"], EAST: ["drive"], START: start, SELECT: ["discard"]}.get(code, [])
