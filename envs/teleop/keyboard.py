"""`source=keyboard`: robosuite's keyboard device."""

from __future__ import annotations

from envs.teleop.robosuite_device import RobosuiteDevice


class Keyboard(RobosuiteDevice):
    """A key moves the robot once when it is pressed and again as often as the keyboard repeats it."""

    source, place = "keyboard", "robosuite.devices.keyboard:Keyboard"
    note = "arrows: move | . ;: down, up | o p: turn | y h, e r: tilt | space: gripper | b: arm or base"
