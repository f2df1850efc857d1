"""What the actions of a robomimic file mean, by its `env_args`.

Two ways of saying it: up to robosuite 1.4 `controller_configs` is the arm's controller (`type`, `control_delta`); from 1.5 on a composite one, whose
`body_parts` hold a controller each (`type`, `input_type`, `input_ref_frame`). https://robosuite.ai/docs/modules/controllers.html
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from envs.catalogue import TASKS
from envs.foreign.control import LARGEST, OWN, POSE, REACH, Control, hz_of
from envs.foreign.origin import Origin
from whatwhere.errors import BadInput

POSITION, OWN_ROBOT = "OSC_POSITION", "Panda"
EARLIER = "JOINT_VELOCITY"  # what robosuite before 1.5 controls an arm with if nothing is said
WANTED = "actions here are relative end-effector poses (OSC_POSE, delta)"
NEVER = ("interpolation", "position_limits", "orientation_limits")  # settings of which only "none" is known here
# Settings of the environment that change neither the task nor what actions do, and those that are looked at one by one.
NEUTRAL = """
has_renderer has_offscreen_renderer ignore_done use_object_obs use_camera_obs camera_names camera_heights camera_widths camera_depths camera_depth
camera_segmentations render_camera render_collision_mesh render_visual_mesh render_gpu_device_id renderer renderer_config reward_shaping reward_scale horizon
hard_reset seed lite_physics control_freq controller_configs robots gripper_visualizations
""".split()  # noqa: SIM905


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


@dataclass(frozen=True)
class Said:
    """What a file says of its control."""

    arms: tuple[tuple[Arm, ...], ...] = ()  # of each robot
    hz: float = 20.0
    problem: str | None = None  # why the numbers are no relative poses, or not known to be
    robots: tuple[str, ...] = ()
    others: dict[str, Any] = field(default_factory=dict)  # settings of the environment that may change what it is

    def text(self) -> str:
        """In a line, for people."""
        arms = list(dict.fromkeys(arm.text() for robot in self.arms for arm in robot))
        return f"{' and '.join(arms) or 'not said'}, {self.hz:g} Hz"

    def check(self, where: str) -> None:
        """Raises BadInput unless the actions are relative end-effector poses, whatever their units."""
        if self.problem is not None:
            raise BadInput(f"{where}: env_args: {self.problem}; {WANTED}")

    @property
    def has_our_units(self) -> bool:
        return all(arm.has_our_units for robot in self.arms for arm in robot)

    def converted(self, actions: np.ndarray, where: str, is_fixed: bool) -> tuple[np.ndarray, Control]:
        """(t, a) → (t, a'), and the control that these are for: poses in this package's units, or, unless the task's control is fixed, in the file's if larger.

        Raises BadInput where that cannot be exact.
        """
        control = self.control()
        if isinstance(control, str) or any(len(robot) != 1 for robot in self.arms) or actions.shape[1] % len(self.arms):
            raise BadInput(f"{where}: actions: {self.text()}: cannot be brought to units of {REACH[0]:g} m and {REACH[3]:g} rad for several arms of a robot")
        control = replace(control, reach=REACH) if is_fixed else control
        robots: list[np.ndarray] = []
        for (arm,), numbers in zip(self.arms, np.split(actions.astype(np.float64), len(self.arms), axis=1), strict=True):
            size = len(arm.low)
            if numbers.shape[1] < size:
                raise BadInput(f"{where}: actions: {actions.shape[1]} numbers, {arm.kind} takes {size} and the gripper's")
            shares = arm.asked(numbers[:, :size]) / control.reach
            if (most := np.abs(shares).max(0)).max() > 1 + 1e-6:
                worst = int(most.argmax())
                found, reach, unit = most[worst] * control.reach[worst], control.reach[worst], "m" if worst < 3 else "rad"
                raise BadInput(f"{where}: actions: ask for up to {found:g} {unit} in a step, an action of this task for {reach:g} {unit} at most")
            robots += [np.clip(shares, -1, 1), numbers[:, size:]]
        return np.concatenate(robots, axis=1), control

    def control(self) -> Control | str:
        """The control that an environment has to take over for these actions; or what of it none here can."""
        arms = [arm for robot in self.arms for arm in robot]
        if strange := [text for arm in arms for text in arm.strange]:
            return strange[0]
        if len({arm.control for arm in arms}) > 1:
            return "arms that are controlled differently"
        return replace(arms[0].control if arms else OWN, hz=self.hz)

    def origin(self, task: str) -> Origin | str:
        """What the environment of `task` takes over for these actions; or what of it none here can."""
        control = self.control()
        if isinstance(control, str):
            return f"{control} is not taken over"
        if self.others:
            name, value = next(iter(self.others.items()))
            return f"env_kwargs: {name}={value!r:.60} is not taken over"
        if task not in TASKS:
            return Origin(control, () if set(self.robots) <= {OWN_ROBOT} else self.robots)
        if replace(control, frame=OWN.frame, reach=OWN.reach) != OWN:  # the frames have the same axes there, and the units are brought to ours
            return f"recorded with {self.text()}; {task} has its own control, and {OWN.hz:g} Hz"
        return Origin()


def said_by(args: dict[str, Any], where: str) -> Said:
    """What `env_args` say. Raises BadInput, naming `where`, for values that are none of robosuite's."""
    kwargs = args.get("env_kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    where = f"{where}: env_args"
    hz = hz_of(kwargs.get("control_freq", 20), f"{where}: control_freq")
    if args.get("type", 1) != 1:  # robomimic.envs.env_base.EnvType: not robosuite's
        return Said(hz=hz)
    named = kwargs.get("robots", ())
    robots = tuple(str(name)[:40] for name in (named if isinstance(named, list | tuple) else [named]))
    others = {name: value for name, value in kwargs.items() if name not in NEUTRAL and value not in (None, "default", False, 0, {}, [])}
    is_early = _version(args.get("env_version")) < (1, 5)
    configs = kwargs.get("controller_configs")
    if configs is None:
        problem = f"name no controller, and that of robosuite before 1.5 is {EARLIER}" if is_early else None
        return Said(hz=hz, problem=problem, robots=robots, others=others)
    arms = tuple(_arms(config, is_early, f"{where}: controller_configs") for config in (configs if isinstance(configs, list) else [configs]))
    arms *= max(len(robots), 1) if len(arms) == 1 else 1  # one for all
    return Said(arms, hz, _problem(arms, is_early), robots, others)


def _arms(config: Any, is_early: bool, where: str) -> tuple[Arm, ...]:
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


def _problem(arms: tuple[tuple[Arm, ...], ...], is_early: bool) -> str | None:
    for arm in (arm for robot in arms for arm in robot):
        if arm.kind not in (POSE, POSITION):
            return f"the controller is {arm.kind}"
        if not arm.is_relative:
            return f"the actions of {arm.kind} are absolute (control_delta=false or input_type=absolute)"
        if arm.kind == POSITION and is_early:
            return f"{POSITION} of robosuite before 1.5 holds one orientation, which relative poses do not say"
        for setting in arm.strange:
            if setting.startswith(("impedance_mode", "gripper")):  # more numbers, or numbers that mean something else
                return f"{arm.kind} with {setting}"
    return None


def _numbers(value: Any, where: str, count: int) -> np.ndarray:
    """(count,): one number for all, or each."""
    values = value if isinstance(value, list | tuple) else [value] * count
    fits = all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) and abs(one) <= LARGEST for one in values)
    if len(values) != count or not fits:
        raise BadInput(f"{where}: needs a finite number or {count} of them, found {value!r:.60}")
    return np.array(values, np.float64)


def _plain(values: np.ndarray) -> Any:
    return tuple(float(value) for value in values)


def _version(value: Any) -> tuple[int, int]:
    """(1, 4) of "1.4.1"; what is not said counts as today's."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})", str(value))
    return (int(match[1]), int(match[2])) if match else (1, 5)
