"""The control of an arm by relative end-effector poses (robosuite's OSC_POSE, delta), as far as environments may differ in it. Imports no simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from whatwhere.errors import BadInput

Six = tuple[float, float, float, float, float, float]
POSE = "OSC_POSE"
REACH: Six = (0.05, 0.05, 0.05, 0.5, 0.5, 0.5)  # m and rad that an action of 1 asks for: robosuite's default, and this package's unit
MAX_HZ, LARGEST = 1000, 1e6


@dataclass(frozen=True)
class Control:
    """Raises BadInput for numbers that cannot be."""

    hz: float = 20
    kp: Six = (150.0, 150.0, 150.0, 150.0, 150.0, 150.0)
    damping_ratio: Six = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    frame: Literal["base", "world"] = "base"  # in which a step is meant
    uncouple: bool = True
    reach: Six = REACH

    def __post_init__(self) -> None:
        hz_of(self.hz, "control: hz")
        for name in ("kp", "damping_ratio", "reach"):
            if not all(math.isfinite(number) and 0 <= number <= LARGEST for number in getattr(self, name)):
                raise BadInput(f"control: {name}: needs numbers from 0 to {LARGEST:g}, found {getattr(self, name)}")

    def as_json(self) -> dict[str, Any]:
        """What differs from robosuite's default; empty if nothing does. `whatwhere.schema.made` makes a Control of it again."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items() if value != getattr(OWN, name)}

    def composite(self) -> dict[str, Any]:
        """`controller_configs` of a robosuite 1.5 environment whose robots have one arm each."""
        reach = list(self.reach)
        scale = {"input_max": 1, "input_min": -1, "output_max": reach, "output_min": [-number for number in reach]}
        gains = {"kp": list(self.kp), "damping_ratio": list(self.damping_ratio), "impedance_mode": "fixed", "uncouple_pos_ori": self.uncouple}
        ranges = {"kp_limits": [0, 300], "damping_ratio_limits": [0, 10], "position_limits": None, "orientation_limits": None}
        meaning = {"type": POSE, "input_type": "delta", "input_ref_frame": self.frame, "interpolation": None, "ramp_ratio": 0.2}
        return {"type": "BASIC", "body_parts": {"right": {**meaning, **scale, **gains, **ranges, "gripper": {"type": "GRIP"}}}}


def hz_of(value: Any, where: str) -> int | float:
    """`value` itself, if it is a number of control steps a second. Raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_HZ:
        raise BadInput(f"{where}: needs control steps a second, above 0 and at most {MAX_HZ}, found {value!r:.60}")
    return value


OWN = Control()
