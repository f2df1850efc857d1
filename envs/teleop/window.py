"""A window on this machine's screen, for devices that are plugged into it: pictures, what the operator is to know, and keys for the episodes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.teleop.device import Status
from whatwhere.errors import BadInput

TITLE = "whatwhere"
EDGE, LINE, MARGIN = 384, 24, 8  # pixels: of a picture, of a line of text, around it
ENTER, BACKSPACE, ESCAPE = (10, 13), (8, 127), 27
HELP = "Enter: start, save | Backspace: discard | z: undo | x: end the episode | Esc: quit"


def check_screen(source: str) -> None:
    """Raises BadInput where no window can be opened."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        raise BadInput(f"source={source}: needs a screen, and DISPLAY is not set; source=browser works everywhere")


class Window:
    """Shown by OpenCV, as robosuite's own windows are. To be used from one thread."""

    def __init__(self, cameras: list[str]) -> None:
        self._cv2: Any = importlib.import_module("cv2")
        self._pictures = {name: np.zeros((EDGE, EDGE, 3), np.uint8) for name in cameras}
        self._state = "ready"
        self._cv2.namedWindow(TITLE, self._cv2.WINDOW_AUTOSIZE | self._cv2.WINDOW_GUI_NORMAL)

    def buttons(self) -> list[str]:
        """The buttons whose keys were pressed since the last call, while the window had the focus; "quit" if it was closed."""
        key = self._cv2.waitKey(1) & 0xFF
        if self._cv2.getWindowProperty(TITLE, self._cv2.WND_PROP_VISIBLE) < 1 or key == ESCAPE:
            return ["quit"]
        if key in ENTER and self._state != "recording":
            return ["start" if self._state == "ready" else "save"]
        return ["discard"] if key in BACKSPACE else {ord("z"): ["undo"], ord("x"): ["save"] if self._state == "recording" else []}.get(key, [])

    def show(self, status: Status, pictures: Mapping[str, np.ndarray], note: str) -> None:
        cv2, self._state = self._cv2, status.state
        for name, picture in pictures.items():
            self._pictures[name] = cv2.resize(picture, (EDGE, EDGE), interpolation=cv2.INTER_LINEAR)
        row = np.concatenate(list(self._pictures.values()), axis=1)
        lines = [*_lines(status), note, HELP]
        panel = np.full((LINE * len(lines) + 2 * MARGIN, row.shape[1], 3), 30, np.uint8)
        for number, line in enumerate(lines):
            place = (MARGIN, MARGIN + LINE * number + 16)
            cv2.putText(panel, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
        cv2.imshow(TITLE, np.concatenate([row, panel])[:, :, ::-1])  # OpenCV has blue first

    def close(self) -> None:
        self._cv2.destroyAllWindows()
        self._cv2.waitKey(1)


def _lines(status: Status) -> list[str]:
    error = "-" if status.error_cm is None else f"{status.error_cm:.1f} cm"
    state = "waits for you" if status.waiting else status.state
    rate = f" | {status.rate['hz']} Hz, {status.rate['late']} late, longest {status.rate['longest_ms']} ms" if status.rate else ""
    gripper = f" | gripper {'closed' if status.closed else 'open'}" + (f" | driving the {status.drives}" if status.mobile else "")
    return [
        f"{status.instruction} | {state} | {status.saved} of {status.wanted} saved",
        f"error {error} | {'success' if status.success else 'no success yet'} | step {status.steps} of {status.horizon}{rate}{gripper}",
        status.message.encode("ascii", "replace").decode(),  # the font has no more
    ]
