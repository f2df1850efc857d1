"""robosuite's own input devices, with a window: what they report, in the axes of `Command`."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from envs.teleop.device import Command, Status
from envs.teleop.drive import PICTURE_TO_ROBOT
from envs.teleop.window import Window, check_screen
from whatwhere.errors import BadInput


class RobosuiteDevice:
    """Subclasses name the device and say how to use it. Its keys are heard whichever window has the focus."""

    paced, asks = True, True
    source: str
    place: str  # module:Class
    note: str
    speed = 0.5

    def __init__(self) -> None:
        """Raises BadInput without a screen. To be made before robosuite is imported, whose keyboard library chooses its back-end then."""
        check_screen(self.source)
        if sys.platform == "linux" and os.environ.get("PYNPUT_BACKEND", "dummy") == "dummy":
            os.environ["PYNPUT_BACKEND"] = "xorg"
        self._status = Status()

    def open(self, env: Any) -> None:
        """Raises BadInput if the device is not there."""
        module, _, name = self.place.partition(":")
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the list of keys, of which some mean something else here
                self._device = getattr(importlib.import_module(module), name)(env.simulation)
        except (ImportError, OSError) as error:
            raise BadInput(f"source={self.source}: {' '.join(str(error).split())[:160]}; {self.remedy}") from None
        if importlib.import_module("pynput.keyboard").Listener.__module__.endswith("_dummy"):
            raise BadInput(f"source={self.source}: the keyboard library was loaded without a screen; start a new process")
        self._window = Window(list(env.cameras))
        print(self.note, flush=True)

    remedy = "source=browser works everywhere"

    def begin(self, seed: int, start: int) -> Literal["play", "skip", "end"]:
        return "play"

    def read(self) -> Command:
        pressed = self._window.buttons()
        if self._status.state != "recording":  # what is moved or pressed in between does not count
            self._device.start_control()
            self._grasp = False
            self._device.base_modes[0] = self._status.drives == "base"
            return Command(buttons=tuple(pressed))
        state = self._device.get_controller_state()
        if state["reset"]:
            self._device.start_control()
            return Command(buttons=(*pressed, "discard"))
        if bool(state["grasp"]) != self._grasp:
            self._grasp = not self._grasp
            pressed.append("gripper")
        if self._status.mobile and bool(state["base_mode"]) != (self._status.drives == "base"):
            pressed.append("drive")
        turn = state["raw_drotation"][[1, 0, 2]] * (1, 1, -1)  # as Device.input2action does
        move, turn = self._device._postprocess_device_outputs(np.array(state["dpos"]), turn)
        return Command(_triple(move), _triple(turn), self.speed, tuple(pressed))

    def show(self, status: Status, pictures: Mapping[str, np.ndarray]) -> None:
        self._status = status
        self._window.show(status, pictures, self.note)

    def close(self) -> None:
        if hasattr(self, "_window"):
            self._window.close()
        listener = getattr(getattr(self, "_device", None), "listener", None)
        if listener is not None:
            listener.stop()


def _triple(robot_axes: np.ndarray) -> tuple[float, float, float]:
    right, away, up = (float(value) for value in np.clip(PICTURE_TO_ROBOT.T @ robot_axes, -1, 1))
    return right, away, up
