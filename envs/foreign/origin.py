"""What an environment takes over of the file that demonstrations of others came in: control, robots, size of pictures, instruction. Imports no simulator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from envs.foreign.control import OWN, Control
from whatwhere.errors import BadInput

LARGEST = (480, 640)  # height and width that the renderer's buffer holds
MAX_ROBOTS, MAX_WORDS = 2, 10_000


@dataclass(frozen=True)
class Origin:
    """By default nothing: all is the task's own. Raises BadInput for values that cannot be."""

    control: Control = OWN
    robots: tuple[str, ...] = ()  # names that robosuite knows
    drawn: tuple[int, int] | None = None  # height and width of the file's pictures, of which the middle square was scaled
    instruction: str | None = None

    def __post_init__(self) -> None:
        if len(self.robots) > MAX_ROBOTS or not all(re.fullmatch(r"\w{1,40}", name) for name in self.robots):
            raise BadInput(f"robots: needs names, at most {MAX_ROBOTS}, found {self.robots!r:.60}")
        if self.drawn is not None and not all(0 < pixels <= most for pixels, most in zip(self.drawn, LARGEST, strict=True)):
            raise BadInput(f"drawn: needs height and width in pixels, at most {LARGEST[0]} and {LARGEST[1]}, found {self.drawn}")
        if self.instruction is not None and len(self.instruction) > MAX_WORDS:
            raise BadInput(f"instruction: has {len(self.instruction)} characters, at most {MAX_WORDS}")

    def as_json(self) -> dict[str, Any]:
        """What is taken over; empty if nothing is. `whatwhere.schema.made` makes an Origin of it again."""
        pictures = None if self.drawn is None else list(self.drawn)
        parts = {"control": self.control.as_json(), "robots": list(self.robots), "drawn": pictures, "instruction": self.instruction}
        return {name: value for name, value in parts.items() if value}
