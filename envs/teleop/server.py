"""The page of teleoperation: what it sends and what becomes of it (`ServedPage` is how).

page → here   move, turn, speed, buttons (as in `Command`), visible, seen
here → page   the `Status` with what the page needs to know, and pictures
"""

from __future__ import annotations

import time

from envs.teleop.device import ABSENT, BUTTONS, Command
from envs.teleop.messages import Message, command_of
from envs.teleop.served import ServedPage
from whatwhere.errors import BadInput, shown
from whatwhere.schema import checked
from whatwhere.strict_json import parse

FRESH_S = 0.4  # a command older than that is none: the page sends twenty a second


class PageServer(ServedPage):
    """Keeps what the page asks for until the control loop reads it."""

    files = {name: ("envs.teleop", f"page/{name or 'index.html'}") for name in ("", "teleop.js", "teleop.css")}
    max_message = 2048  # the page's are below 300

    def __init__(self, host: str, port: int, names: tuple[str, ...] = ()) -> None:
        super().__init__(host, port, names)
        self._command, self._heard, self._pressed = ABSENT, -1e9, list[str]()

    def command(self) -> Command:
        """What the page asks for now; ABSENT if it is gone, hidden or silent. Buttons are told once."""
        with self._lock:
            pressed, self._pressed = tuple(self._pressed), []
            fresh = self._controller is not None and time.monotonic() - self._heard < FRESH_S
            command = self._command if fresh else ABSENT
            return Command(command.move, command.turn, command.speed, pressed, present=command.present)

    def take(self, message: str) -> int:
        told = checked(parse(message, "message"), Message, "message")
        if not told.keys() <= Message.__annotations__.keys():
            raise BadInput(f"message: unknown keys {shown(list(told))}")
        command = command_of(told, speed=0.0)
        with self._lock:
            self._command, self._heard = command if told.get("visible") else ABSENT, time.monotonic()
            self._pressed = [*self._pressed, *command.buttons][: 2 * len(BUTTONS)]
        return int(told.get("seen", 0))

    def left(self) -> None:
        self._command = ABSENT
