"""navigate_to: drive the mobile base until its marked point stands on the red pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from robosuite.controllers import load_composite_controller_config
from robosuite.models.tasks import ManipulationTask
from robosuite.utils.mjcf_utils import array_to_string, new_element

from envs.motion import Motion
from envs.success import distance_xy_m, is_still
from envs.tasks.floor import FloorArena
from envs.tasks.motion import Scale
from envs.tasks.moving import Moved
from envs.tasks.scored import ScoredTask

# The first is the target.
PADS = {"red_pad": (0.85, 0.08, 0.08, 1.0), "green_pad": (0.08, 0.6, 0.12, 1.0), "blue_pad": (0.1, 0.2, 0.85, 1.0)}
PAD_RADIUS_M = 0.15  # the tolerance, drawn: success means that the scored point is over the pad
REGION_HALF_M = 2.0  # pads and base start in a square of 4 × 4 m
PAD_GAP_M = 0.6  # least distance of pad centres
CLEARANCE_M = 1.0  # least distance of base centre and of scored point from the target at the start
FARTHEST_M = 2.8  # greatest distance of base centre and target at the start: inside the mast camera's picture at any heading

AXIS_TO_ARM_M = 0.21  # the base turns about a vertical axis 21 cm behind the arm (omron_mobile_base.xml): here called the base's centre
# The base is 70 × 50 cm. A point 60 cm ahead of its centre is 25 cm ahead of the bumper, so the whole pad stays in both cameras' pictures at the goal.
SCORED_AHEAD_M = 0.60

FORWARD_M_S, LEFT_M_S, TURN_RAD_S = 0.7, 0.7, 1.2  # what an action of 1 asks for; together inside the actuators' ranges in every direction (1, 1, 1.5)
SERVO_LEAD_S = 0.08  # half a control step, in which the command stays as it is, and the servos' lag (54 kg / 1000 N s/m)
BASE_FRICTION = 5.0  # N and N m; see _load_model

TOLERANCE_M = 0.15
STILL_M_S, STILL_RAD_S = 0.05, 0.10
STILL_STEPS = 5

# A compact pose: the upper arm leans back, the forearm is folded over it, the hand stays behind the front edge of the base.
FOLDED_ARM = np.array([0.0, -1.7, 0.0, -2.9, 0.0, 1.2, np.pi / 4])
TORSO_M = 0.01
HOLD_GAIN = 400.0  # 1/s²; critically damped


class NavigateTo(ScoredTask):
    """A robosuite environment: PandaOmron on an open floor with a red, a green and a blue pad.

    The three-number action (forward, left, turn) becomes robosuite's thirteen in `full_action`. Arguments are ManipulationEnv's.
    """

    instruction = "drive to the red pad"
    equal_instruction = "drive to the pad {}"
    default_horizon = 130
    default_cameras = ("robot0_mast", "robot0_front")
    scene_camera = "frontview"
    action_names = ("forward", "left", "turn")
    pads = PADS
    scale = Scale(step_m=0.05, ahead_m=0.6, way_m=1.2, push_m=(0.3, 0.6), near_m=(0.4, 0.8), seen_m=0.08)

    def __init__(self, robots: str | Sequence[str] = "PandaOmron", motion: Motion | None = None, **options: Any) -> None:
        if options.get("controller_configs") is None:
            options["controller_configs"] = holding_controllers()
        super().__init__(robots, motion, **{"initialization_noise": None, **options})

    # ---- the scene

    def _load_model(self) -> None:
        super()._load_model()
        self.robots[0].init_qpos, self.robots[0].init_torso_qpos = FOLDED_ARM, np.array([TORSO_M])
        robot = self.robots[0].robot_model
        robot.set_base_xpos([AXIS_TO_ARM_M, 0, 0])  # so that the base's joint positions are its centre in the world
        base = robot.worldbody.find(".//body[@name='mobilebase0_base']")
        for joint in base.findall("joint"):
            # Stock has 250 N (N m) of dry friction under velocity servos of 1000 N s/m: a base that stands still below 0.25 m/s and is 0.25 m/s too slow above.
            joint.set("frictionloss", array_to_string([BASE_FRICTION]))
        # Straight down from 2.5 m above the base's front half: a map about the robot, ± 3.2 m at one scale (15 px/m at 96 px), every heading alike.
        base.append(_camera("robot0_mast", position=(0.07, 0, 2.5), pitch_down_deg=90, fovy=105))
        # From the front edge, from the bumper to the horizon: where the pad is to the centimetre at the goal.
        base.append(_camera("robot0_front", position=(0.17, 0, 0.75), pitch_down_deg=48, fovy=90))
        arena = FloorArena()
        self.add_pads(arena)
        self.model = ManipulationTask(mujoco_arena=arena, mujoco_robots=[robot])

    def add_pads(self, arena: FloorArena) -> None:
        """Puts the task's pads on the floor."""
        for name, rgba in self.pads.items():
            arena.add_pad(name, PAD_RADIUS_M, self.pads["red_pad"] if self.has_equals else rgba)

    def _setup_references(self) -> None:
        super()._setup_references()
        model = self.sim.model._model
        self._base_qpos, self._base_qvel = _addresses(model, [f"mobilebase0_joint_mobile_{name}" for name in ("forward", "side", "yaw")])
        self._torso_qpos, _ = _addresses(model, ["mobilebase0_joint_torso_height"])
        self._arm_qpos, _ = _addresses(model, [f"robot0_joint{i}" for i in range(1, 8)])
        self._pad_qpos, _ = _addresses(model, [f"{name}_{letter}" for name in self.pads for letter in "xy"])
        self._centre_site = model.site("mobilebase0_center").id

    # ---- an episode's start

    def sample_start(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """`base` (3,): centre x, y in metres and heading in radians; `pads` (3, 2): centres in the order of PADS."""
        while True:
            pads = rng.uniform(-REGION_HALF_M, REGION_HALF_M, (len(PADS), 2))
            base = np.append(rng.uniform(-REGION_HALF_M, REGION_HALF_M, 2), rng.uniform(-np.pi, np.pi))
            if self.is_free(start := {"base": base, "pads": pads}):
                return start

    def is_free(self, start: dict[str, np.ndarray]) -> bool:
        pads, base = start["pads"], start["base"]
        inside = np.abs(pads).max() <= REGION_HALF_M
        gaps = [np.linalg.norm(pads[i] - pads[j]) for i in range(len(PADS)) for j in range(i)]
        to_base = np.linalg.norm(pads[0] - base[:2])
        to_scored = np.linalg.norm(pads[0] - base[:2] - SCORED_AHEAD_M * np.array([np.cos(base[2]), np.sin(base[2])]))
        return bool(inside and min(gaps) >= PAD_GAP_M and min(to_base, to_scored) >= CLEARANCE_M and to_base <= FARTHEST_M)

    def set_start(self, start: dict[str, np.ndarray]) -> None:
        """Puts robot and pads there, at rest, and resets the controllers to that pose."""
        data = self.sim.data
        data.qvel[:] = 0.0
        data.qpos[self._base_qpos] = start["base"]
        data.qpos[self._torso_qpos] = TORSO_M
        data.qpos[self._arm_qpos] = FOLDED_ARM
        data.qpos[self._pad_qpos] = np.ravel(start["pads"])
        self.sim.forward()
        robot = self.robots[0]
        robot.composite_controller.update_state()
        robot.composite_controller.reset()

    # ---- what moves by itself: the red pad

    def displaced(self, start: dict[str, np.ndarray], offset: np.ndarray) -> dict[str, np.ndarray]:
        return start | {"pads": start["pads"] + [offset, *np.zeros((len(PADS) - 1, 2))]}

    def moved(self) -> Moved:
        qpos, qvel = _addresses(self.sim.model._model, [f"red_pad_{letter}" for letter in "xy"])
        return Moved(qpos[None], qvel[None], qvel, bodies=np.zeros(0, int), start_xy=self._start["pads"][:1])

    def robot_touches(self) -> bool:
        """Whether the scored point is over the pad, which nothing touches otherwise."""
        return self.robot_distance_m() <= PAD_RADIUS_M

    def robot_distance_m(self) -> float:
        return distance_xy_m(self.scored_point(), self.target())

    # ---- control

    def full_action(self, action: np.ndarray) -> np.ndarray:
        """(forward, left, turn) in [-1, 1] → robosuite's 13: arm joints 7 (rad), torso 1 (m), base 3, gripper 1, base mode 1.

        Arm and torso hold their pose, the gripper rests; the mode concerns end-effector control only.
        robosuite's base controller takes velocities as shares of the actuators' ranges along the base's slide joints, which do not turn with the base,
        after a rotation by minus the turn since its last reset (JOINT_VELOCITY.set_goal in 1.5.2: the wrong way for velocities in the base frame). So here:
        base frame → world by the heading (the one it will have when the servos have followed), then that rotation undone.
        """
        forward, left, turn = np.clip(np.asarray(action, dtype=np.float64), -1, 1) * (FORWARD_M_S, LEFT_M_S, TURN_RAD_S)
        heading = self.base_pose()[2] + SERVO_LEAD_S * self.base_velocity()[2]
        controller = self.robots[0].composite_controller.part_controllers["base"]
        turned = _yaw(self.sim.data.site_xmat[self._centre_site]) - _yaw(controller.init_ori)
        velocity = _rotation(turned + heading) @ np.array([forward, left])
        share = np.append(velocity, turn) / controller.actuator_max
        return np.concatenate([self._arm_goal, [TORSO_M], share, [self._gripper_goal, 1.0]])

    def hold(self, arm_goal: np.ndarray) -> None:
        """Lets arm and gripper hold another pose up to the episode's end: 7 joint angles (rad) and the gripper (−1 open, 1 closed).

        No action of the task does that: it is for teleoperation, which records these goals beside the actions.
        """
        self._arm_goal, self._gripper_goal = np.array(arm_goal[:7], np.float64), float(arm_goal[7])

    # ---- what is read of the state

    def base_pose(self) -> np.ndarray:
        """(3,): centre x, y in metres and heading in radians, in the world."""
        return np.array(self.sim.data.qpos[self._base_qpos])

    def scored_point(self) -> np.ndarray:
        """(3,): the point on the floor 60 cm ahead of the base's centre, in the world."""
        x, y, heading = self.base_pose()
        return np.array([x + SCORED_AHEAD_M * np.cos(heading), y + SCORED_AHEAD_M * np.sin(heading), 0.0])

    def base_velocity(self) -> np.ndarray:
        """(3,): forward and left in m/s, turn in rad/s, in the base frame."""
        velocity = np.array(self.sim.data.qvel[self._base_qvel])
        return np.append(_rotation(-self.base_pose()[2]) @ velocity[:2], velocity[2])

    def target(self) -> np.ndarray:
        """(3,): the target pad's centre on the floor, in the world."""
        return np.append(self.sim.data.qpos[self._pad_qpos[:2]], 0.0)

    def proprio(self) -> np.ndarray:
        """float32 (3,): the base's velocity in its own frame, in units of a full action, clipped to ±2."""
        return np.clip(self.base_velocity() / (FORWARD_M_S, LEFT_M_S, TURN_RAD_S), -2, 2).astype(np.float32)

    def privileged(self) -> dict[str, np.ndarray]:
        return {
            "target_pos_world": self.target(),
            "base_pose_world": self.base_pose(),
            "scored_point_world": self.scored_point(),
            "base_velocity_base": self.base_velocity(),
        } | super().privileged()

    # ---- an episode's course

    def begin(self) -> None:
        """Clears what is remembered of an episode; called when the state was set anew."""
        super().begin()
        self._still_steps = 0
        self.hold(np.append(FOLDED_ARM, 0.0))

    def after_step(self, action: np.ndarray) -> None:
        """Counts the steps in a row in which the scored point stands still over the pad."""
        forward, left, turn = self.base_velocity()
        still = is_still([0, 0, turn, forward, left, 0], STILL_M_S, STILL_RAD_S)
        self._still_steps = self._still_steps + 1 if still and self.position_error_cm() <= 100 * TOLERANCE_M else 0

    def is_success(self) -> bool:
        return self._still_steps >= STILL_STEPS

    def position_error_cm(self) -> float:
        """Horizontal distance of the scored point and the target's centre, now."""
        return 100 * distance_xy_m(self.scored_point(), self.target())


def holding_controllers() -> dict[str, Any]:
    """PandaOmron's default controllers, with joint position control for arm and torso, which here hold one pose.

    The default OSC_POSE cannot hold an arm on a moving base in robosuite 1.5.2: its reset takes the goal in world coordinates and base mode then reads it in
    the base frame. Absolute joint goals have no such memory, so a state restored in the middle of an episode goes on as it did.
    """
    config = load_composite_controller_config(robot="PandaOmron")
    hold = {"type": "JOINT_POSITION", "input_type": "absolute", "damping_ratio": 1, "impedance_mode": "fixed", "interpolation": None}
    config["body_parts"]["right"] = {**hold, "kp": HOLD_GAIN, "gripper": {"type": "GRIP"}}
    config["body_parts"]["torso"] = {**hold, "kp": HOLD_GAIN}
    return config


def _camera(name: str, position: Sequence[float], pitch_down_deg: float, fovy: float) -> Any:
    """A camera on the base that looks forward and `pitch_down_deg` below the horizon, up in the picture being up or, from straight above, forward."""
    pitch = np.deg2rad(pitch_down_deg)
    right, up = (0.0, -1.0, 0.0), (np.sin(pitch), 0.0, np.cos(pitch))
    return new_element("camera", name, mode="fixed", pos=array_to_string(position), xyaxes=array_to_string([*right, *up]), fovy=str(fovy))


def _addresses(model: mujoco.MjModel, joints: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Indices into qpos and qvel of one-number joints."""
    return np.array([model.joint(name).qposadr[0] for name in joints]), np.array([model.joint(name).dofadr[0] for name in joints])


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _yaw(matrix: np.ndarray) -> float:
    m = np.reshape(matrix, (3, 3))
    return float(np.arctan2(m[1, 0], m[0, 0]))
