"""Teleoperation: devices that people hold, and what turns their commands into actions. Importing this needs no display and no simulator."""

from __future__ import annotations

from typing import Any

from whatwhere.named import named

# source → where its class is; a new device is one file and one line here.
DEVICES: dict[str, str] = {
    "browser": "envs.teleop.browser:Browser",
    "keyboard": "envs.teleop.keyboard:Keyboard",
    "spacemouse": "envs.teleop.spacemouse:SpaceMouse",
    "gamepad": "envs.teleop.gamepad:Gamepad",
    "file": "envs.teleop.file:CommandFile",
}


def device_class(source: str) -> Any:
    """The class behind a source's name. Raises BadInput for an unknown name."""
    return named("source", source, DEVICES)
