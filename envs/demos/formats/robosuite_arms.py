"""An arm's controller as robosuite's configurations write it.

Two ways of writing it: up to robosuite 1.4 `controller_configs` is the arm's controller (`type`, `control_delta`); from 1.5 on a composite one, whose
`body_parts` hold a controller each (`type`, `input_type`, `input_ref_frame`). https://robosuite.ai/docs/modules/controllers.html
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.foreign.control import LARGEST, OWN, POSE, REACH, Control
from whatwhere.errors import BadInput

POSITION = "OSC_POSITION"
NEVER = ("interpolation", "position_limits", "orientation_limits")  # settings of which only "none" is known here


@dataclass(frozen=True)
class Arm:
    """An arm's controller, in the file's own words. For one that is not OSC_POSE or OSC_POSITION only what it is."""

    kind: str
    is_relative: bool
    low: tuple[float, ...] = ()  # where robosuite clips the numbers of an action, (6,) or for OSC_POSITION (3,)
    high: tuple[float, ...] = ()
    factor: tuple[float, ...] = ()  # a number times this …
    offset: tuple[float, ...] = ()  # … plus this is m or rad
    control: Control = OWN
    strange: tuple[str, ...] = ()  # settings that no environment here takes over

    def text(self) -> str:
        words = [self.kind, "relative" if self.is_relative else "absolute"]
        if self.low:
            words.append(f"in the {self.control.frame} frame")
            most = np.multiply(self.high, self.factor) + self.offset
            scale = f"an action of {self.high[0]:g} asks for " + ", ".join([f"{most[0]:g} m", *[f"{turn:g} rad" for turn in most[3:4]]])
            words += [*[scale] * self.is_relative, "kp " + " ".join(f"{number:g}" for number in dict.fromkeys(self.control.kp))]
        return ", ".join([*words, *self.strange])

    @property
    def has_our_units(self) -> bool:
        return self.kind == POSE and np.allclose(np.array([self.factor, self.offset]), [REACH, [0.0] * 6], rtol=1e-9, atol=0)

    def asked(self, numbers: np.ndarray) -> np.ndarray:
        """(t, 6): the steps in m and rad that the arm's numbers (t, size) ask for, a turn of zero where they name none."""
        steps = np.zeros((len(numbers), 6))
        steps[:, : len(self.low)] = np.clip(numbers, self.low, self.high) * self.factor + self.offset  # as robosuite clips and scales
        return steps


def arms_of(config: Any, is_early: bool, where: str) -> tuple[Arm, ...]:
    """The arms of one robot."""
    if not isinstance(config, dict) or not isinstance(config.get("type"), str):
        raise BadInput(f"{where}: needs an object with a type, found {config!r:.60}")
    parts = config.get("body_parts")
    if parts is None:
        return (_arm(config, is_early, where),)
    if not isinstance(parts, dict):
        raise BadInput(f"{where}: body_parts: needs an object, found {parts!r:.60}")
    parts = parts | (parts["arms"] if isinstance(parts.get("arms"), dict) else {})
    names = [name for name in ("right", "left") if parts.get(name) is not None]
    if not names:
        raise BadInput(f"{where}: body_parts: needs right, left or both, found {', '.join(map(str, parts))[:80]}")
    if config["type"] not in ("BASIC", "HYBRID_MOBILE_BASE"):  # inverse kinematics of the whole body, or somebody's own
        return (Arm(config["type"][:40], is_relative=True),)
    return tuple(_arm(parts[name], is_early, f"{where}: body_parts.{name}") for name in names)


def _arm(config: Any, is_early: bool, where: str) -> Arm:
    if not isinstance(config, dict) or not isinstance(config.get("type"), str):
        raise BadInput(f"{where}: needs an object with a type, found {config!r:.60}")
    kind, meaning, delta = config["type"][:40], config.get("input_type", "delta"), config.get("control_delta", True)
    frame = config.get("input_ref_frame", "world" if is_early else "base")
    if frame not in ("base", "world") or meaning not in ("delta", "absolute") or not isinstance(delta, bool):
        raise BadInput(f"{where}: input_ref_frame, input_type, control_delta: found {frame!r:.40}, {meaning!r:.40}, {delta!r:.40}")
    is_relative = meaning == "delta" and delta
    if kind not in (POSE, POSITION):
        return Arm(kind, is_relative)
    size = 6 if kind == POSE else 3

    def numbers(name: str, default: Any, count: int = size) -> np.ndarray:
        return _numbers(config.get(name, default), f"{where}: {name}", count)

    low, high = numbers("input_min", -1), numbers("input_max", 1)
    least, most = numbers("output_min", [-reach for reach in REACH[:size]]), numbers("output_max", list(REACH[:size]))
    if (low >= high).any():
        raise BadInput(f"{where}: input_min, input_max: need a range, found {config.get('input_min')!r:.40} … {config.get('input_max')!r:.40}")
    factor = np.abs(most - least) / np.abs(high - low)
    offset = (most + least) / 2 - factor * (high + low) / 2
    furthest = np.maximum(np.array(REACH), [*np.maximum(np.abs(least), np.abs(most)), *REACH[size:]])
    kp, damping = numbers("kp", 150, 6), numbers("damping_ratio", config.get("damping", 1), 6)
    control = Control(kp=_plain(kp), damping_ratio=_plain(damping), frame=frame, uncouple=config.get("uncouple_pos_ori") is not False, reach=_plain(furthest))
    return Arm(kind, is_relative, _plain(low), _plain(high), _plain(factor), _plain(offset), control, tuple(_strange(config)))


def _strange(config: dict[str, Any]) -> list[str]:
    found = [f"{name}={config[name]!r:.40}" for name in NEVER if config.get(name) not in (None, "null")]
    if config.get("impedance_mode", "fixed") != "fixed":
        found.append(f"impedance_mode={config['impedance_mode']!r:.40}")
    gripper = config.get("gripper", {})
    if not isinstance(gripper, dict) or gripper.get("type", "GRIP") != "GRIP" or gripper.get("use_action_scaling", True) is not True:
        found.append(f"gripper={gripper!r:.60}")
    return found


def _numbers(value: Any, where: str, count: int) -> np.ndarray:
    """(count,): one number for all, or each."""
    values = value if isinstance(value, list | tuple) else [value] * count
    fits = all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) and abs(one) <= LARGEST for one in values)
    if len(values) != count or not fits:
        raise BadInput(f"{where}: needs a finite number or {count} of them, found {value!r:.60}")
    return np.array(values, np.float64)


def _plain(values: np.ndarray) -> Any:
    return tuple(float(value) for value in values)
