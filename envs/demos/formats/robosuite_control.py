"""What the actions of a robomimic file mean, by its `env_args`; the controllers in it are read by `robosuite_arms`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from envs.catalogue import TASKS
from envs.demos.formats.robosuite_arms import POSITION, Arm, arms_of
from envs.foreign.control import OWN, POSE, REACH, Control, hz_of
from envs.foreign.origin import Origin
from whatwhere.errors import BadInput

OWN_ROBOT = "Panda"
EARLIER = "JOINT_VELOCITY"  # what robosuite before 1.5 controls an arm with if nothing is said
WANTED = "actions here are relative end-effector poses (OSC_POSE, delta)"
# Settings of the environment that change neither the task nor what actions do, and those that are looked at one by one.
NEUTRAL = """
has_renderer has_offscreen_renderer ignore_done use_object_obs use_camera_obs camera_names camera_heights camera_widths camera_depths camera_depth
camera_segmentations render_camera render_collision_mesh render_visual_mesh render_gpu_device_id renderer renderer_config reward_shaping reward_scale horizon
hard_reset seed lite_physics control_freq controller_configs robots gripper_visualizations
""".split()  # noqa: SIM905


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
    arms = tuple(arms_of(config, is_early, f"{where}: controller_configs") for config in (configs if isinstance(configs, list) else [configs]))
    arms *= max(len(robots), 1) if len(arms) == 1 else 1  # one for all
    return Said(arms, hz, _problem(arms, is_early), robots, others)


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


def _version(value: Any) -> tuple[int, int]:
    """(1, 4) of "1.4.1"; what is not said counts as today's."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})", str(value))
    return (int(match[1]), int(match[2])) if match else (1, 5)
