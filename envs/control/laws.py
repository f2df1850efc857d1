"""The control law of one physics substep for each kind of robosuite's part controllers: the same operations in the same order, without the rest.

robosuite 1.5.2 spends most of a substep on names, copies and repeated Jacobians. Here indices and memory are bound once and a Jacobian is asked for once;
robosuite's own compiled functions (`utils/control_utils.py`) still do the linear algebra, because their rounding is part of the result: arms under random
actions are chaotic, so that a law that differs in the last bits (Cholesky factors instead of pseudo-inverses) was 1e-5 away after 200 control steps.

A law is called between `mj_step1` and `mj_step2`. Goals, gains and modes stay in robosuite's controller objects: `prepare` reads them once a control step,
after robosuite's own `set_goal`.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from robosuite.controllers.composite.composite_controller import CompositeController, HybridMobileBase
from robosuite.controllers.parts.arm.osc import OperationalSpaceController
from robosuite.controllers.parts.generic.joint_pos import JointPositionController
from robosuite.controllers.parts.gripper.simple_grip import SimpleGripController
from robosuite.controllers.parts.mobile_base.joint_vel import MobileBaseJointVelocityController
from robosuite.environments.robot_env import RobotEnv
from robosuite.robots import FixedBaseRobot, WheeledRobot

from envs.control.torques import arm_torques, joint_torques, rounds_like_numpy


class Law:
    """What the laws share: one part of one robot, the simulator's memory, and the part's actuators and joints."""

    def __init__(self, robot: Any, name: str, mass: np.ndarray) -> None:
        """mass (nv, nv): the joint-space inertia, filled by the caller in each substep."""
        self.name, self.robot, self.controller, self.mass = name, robot, robot.part_controllers[name], mass
        self.model, self.data = robot.sim.model._model, robot.sim.data._data
        self.qpos, self.qvel, self.bias, self.ctrl = self.data.qpos, self.data.qvel, self.data.qfrc_bias, self.data.ctrl  # views, not copies
        self.actuators = np.asarray(robot._ref_actuators_indexes_dict[name], dtype=np.int64)

    def observe(self) -> None:
        """Gives the controller what its `set_goal` reads of the present state, without the rest of its `update`."""

    def prepare(self) -> None:
        """Reads goals and gains for the coming control step."""
        self.low, self.high = self.model.actuator_ctrlrange[self.actuators].T

    @property
    def index(self) -> np.ndarray:
        """Addresses (3, j) of the joints in qpos and qvel, and of their actuators in ctrl."""
        return np.array([self.controller.qpos_index, self.controller.qvel_index, self.actuators], dtype=np.int64)


class ArmLaw(Law):
    """Operational-space control (`OSC_POSE`, `OSC_POSITION`) of one arm of j joints."""

    def __init__(self, robot: Any, name: str, mass: np.ndarray) -> None:
        super().__init__(robot, name, mass)
        controller, names, data = self.controller, robot.sim.model, self.data
        self.hand = names.site_name2id(controller.ref_name)
        self.base = names.site_name2id(f"{controller.naming_prefix}{controller.part_name}_center")
        self.base_moves = _moves(self.model, self.model.site_bodyid[self.base])
        joints = len(controller.qvel_index)
        self.goal, self.gains = np.zeros((4, 3)), np.zeros(12 + 3 * joints)
        self.jacobians = np.zeros((4, 3, self.model.nv))
        self.rows = tuple(self.jacobians)
        poses = [(data.site_xpos[site], data.site_xmat[site].reshape(3, 3)) for site in (self.hand, self.base)]
        self.position, self.rotation = poses[0]
        self.arguments = (mass, self.jacobians, self.qpos, self.qvel, self.bias, *poses, self.goal, self.gains, self.index)

    def observe(self) -> None:
        self.controller.ref_pos[:] = self.position
        self.controller.ref_ori_mat[:] = self.rotation

    def prepare(self) -> None:
        super().prepare()
        controller, gains = self.controller, self.gains
        self.goal[0], self.goal[1:] = controller.goal_pos, controller.goal_ori
        gains[:6], gains[6:12] = controller.kp, controller.kd
        gains[12:] = np.concatenate((controller.initial_joint, self.low, self.high))
        self.modes = (controller.input_ref_frame == "base", bool(controller.uncoupling))

    def __call__(self) -> None:
        rows = self.rows
        mujoco.mj_jacSite(self.model, self.data, rows[0], rows[1], self.hand)
        if self.base_moves:
            mujoco.mj_jacSite(self.model, self.data, rows[2], rows[3], self.base)
        arm_torques(*self.arguments, *self.modes, self.ctrl)


class JointLaw(Law):
    """Impedance control of joint positions (`JOINT_POSITION`): a torso, a head, or an arm."""

    def __init__(self, robot: Any, name: str, mass: np.ndarray) -> None:
        super().__init__(robot, name, mass)
        joints = len(self.controller.qpos_index)
        self.goal, self.gains = np.zeros(joints), np.zeros((4, joints))
        self.arguments = (mass, self.qpos, self.qvel, self.bias, self.goal, self.gains, self.index)

    def observe(self) -> None:
        self.controller.joint_pos = np.array(self.qpos[self.controller.qpos_index])

    def prepare(self) -> None:
        super().prepare()
        self.goal[:] = self.controller.goal_qpos
        self.gains[:] = self.controller.kp, self.controller.kd, self.low, self.high
        self.compensated = bool(self.controller.use_torque_compensation)

    def __call__(self) -> None:
        joint_torques(*self.arguments, self.compensated, self.ctrl)


class HeldLaw(Law):
    """A part whose command does not depend on the state between two goals: gripper (`GRIP`) and mobile base (`JOINT_VELOCITY`).

    Sent once a control step: `mj_step` leaves `ctrl` as it is.
    """

    def prepare(self) -> None:
        super().prepare()
        self.ctrl[self.actuators] = np.clip(self.controller.run_controller(), self.low, self.high)


LAWS: dict[type, type[ArmLaw] | type[JointLaw] | type[HeldLaw]] = {
    OperationalSpaceController: ArmLaw,
    JointPositionController: JointLaw,
    SimpleGripController: HeldLaw,
    MobileBaseJointVelocityController: HeldLaw,
}


def covered(env: Any) -> bool:
    """Whether every part of every robot of `env` has a law that does what robosuite 1.5.2 does. Subclasses may behave otherwise and are not covered."""
    if not env.lite_physics or type(env)._pre_action is not RobotEnv._pre_action:
        return False
    for robot in env.robots:
        if type(robot) not in (FixedBaseRobot, WheeledRobot) or type(robot.composite_controller) not in (CompositeController, HybridMobileBase):
            return False
        for controller in robot.part_controllers.values():
            interpolators = (getattr(controller, name, None) for name in ("interpolator", "interpolator_pos", "interpolator_ori"))
            if type(controller) not in LAWS or any(one is not None for one in interpolators):
                return False
            if isinstance(controller, OperationalSpaceController) and controller.num_ref_sites != 1:
                return False
            law = LAWS[type(controller)]
            if law is not HeldLaw and not rounds_like_numpy(len(controller.qvel_index), robot.sim.model.nv, arm=law is ArmLaw):
                return False
    return True


def _moves(model: mujoco.MjModel, body: int) -> bool:
    """Whether a joint lies between `body` and the world."""
    while body:
        if model.body_dofnum[body]:
            return True
        body = model.body_parentid[body]
    return False
