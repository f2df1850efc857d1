"""The control of an arm by relative end-effector poses (robosuite's OSC_POSE, delta), as far as environments may differ in it. Imports no simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from whatwhere.errors import BadInput

POSE = "OSC_POSE"
REACH = (0.05, 0.05, 0.05, 0.5, 0.5, 0.5)  # m and rad that an action of 1 asks for: robosuite's default, and this package's unit
MAX_HZ = 1000


@dataclass(frozen=True)
class Control:
    """The control of an arm by relative end-effector poses, as far as it may differ from one environment to the other."""

    hz: float = 20.0
    kp: tuple[float, ...] = (150.0,) * 6
    damping_ratio: tuple[float, ...] = (1.0,) * 6
    frame: str = "base"  # in which a step is meant, or world
    uncouple: bool = True
    reach: tuple[float, ...] = REACH

    def as_json(self) -> dict[str, Any]:
        """What differs from robosuite's default; empty if nothing does."""
        own = Control()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items() if value != getattr(own, name)}

    @classmethod
    def from_json(cls, value: Any, where: str) -> Control:
        """Raises BadInput, naming `where`, for anything that `as_json` cannot have written."""
        if not isinstance(value, dict):
            raise BadInput(f"{where}: control: needs an object, found {value!r:.60}")
        for key in value:
            if key not in vars(cls()):
                raise BadInput(f"{where}: control: {key!s:.40}: unknown; valid: {', '.join(vars(cls()))}")
        given: dict[str, Any] = {name: numbers_of(value[name], f"{where}: control: {name}", 6) for name in ("kp", "damping_ratio", "reach") if name in value}
        if "hz" in value:
            given["hz"] = hz_of(value["hz"], f"{where}: control: hz")
        if value.get("frame", "base") not in ("base", "world") or not isinstance(value.get("uncouple", True), bool):
            raise BadInput(f"{where}: control: needs frame base or world, and uncouple true or false")
        return cls(**{**value, **given})

    def part(self) -> dict[str, Any]:
        """The arm's controller as robosuite 1.5 takes it."""
        reach = list(self.reach)
        scale = {"input_max": 1, "input_min": -1, "output_max": reach, "output_min": [-number for number in reach]}
        gains = {"kp": list(self.kp), "damping_ratio": list(self.damping_ratio), "impedance_mode": "fixed", "uncouple_pos_ori": self.uncouple}
        ranges = {"kp_limits": [0, 300], "damping_ratio_limits": [0, 10], "position_limits": None, "orientation_limits": None}
        meaning = {"type": POSE, "input_type": "delta", "input_ref_frame": self.frame, "interpolation": None, "ramp_ratio": 0.2}
        return {**meaning, **scale, **gains, **ranges, "gripper": {"type": "GRIP"}}

    def composite(self) -> dict[str, Any]:
        """`controller_configs` of a robosuite environment whose robots have one arm each."""
        return {"type": "BASIC", "body_parts": {"right": self.part()}}


def hz_of(value: Any, where: str) -> int | float:
    """`value` itself, if it is a number of control steps a second. Raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_HZ:
        raise BadInput(f"{where}: needs control steps a second, above 0 and at most {MAX_HZ}, found {value!r:.60}")
    return value


def numbers_of(value: Any, where: str, dim: int) -> tuple[float, ...]:
    """One number for all, or `dim` of them."""
    values = value if isinstance(value, list | tuple) else [value] * dim
    fits = all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) and abs(one) <= 1e6 for one in values)
    if len(values) != dim or not fits:
        raise BadInput(f"{where}: needs a finite number or {dim} of them, found {value!r:.60}")
    return tuple(float(one) for one in values)
