"""`source=spacemouse`: robosuite's SpaceMouse device (3Dconnexion)."""

from __future__ import annotations

from envs.teleop.robosuite_device import RobosuiteDevice


class SpaceMouse(RobosuiteDevice):
    """Needs the package hidapi, and on Linux the right to read the device."""

    source, place = "spacemouse", "robosuite.devices.spacemouse:SpaceMouse"
    note = "push and twist: move and turn | hold the left button: close the gripper | right button: discard | b: arm or base"
    remedy = "it needs a connected SpaceMouse, the right to read it (a udev rule) and pip install hidapi"
