"""A mobile base whose arm is not part of the task's action: the base by actions, the arm by the goals that it holds."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.teleop.device import Command, clipped

FASTEST_M_S, FASTEST_RAD_S = 0.4, 1.5  # of the gripper, at speed 1
DAMPING = 1e-3  # of the inverse kinematics, m²
LEAD_RAD = 0.15  # how far a joint's goal may be ahead of the joint: what the arm cannot reach it does not pile up
TO_ROBOT = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # columns: right, away and up of one who looks where the base does


class MobileDrive:
    """PandaOmron in navigate_to. A policy of the task cannot move the arm: for its demonstrations leave it folded."""

    mobile = True

    def __init__(self, env: Any) -> None:
        self._robot, self._dt = env.simulation, 1.0 / env.control_hz
        model, self._data = env.simulation.sim.model._model, env.simulation.sim.data._data
        self._model = model
        joints = [model.joint(f"robot0_joint{number}") for number in range(1, 8)]
        self._qpos, self._qvel = np.array([joint.qposadr[0] for joint in joints]), np.array([joint.dofadr[0] for joint in joints])
        self._range = np.array([joint.range for joint in joints])  # (7, 2)
        self._hand = env.simulation.robots[0].eef_site_id["right"]
        self.begin()

    def begin(self) -> None:
        self.drives = "base"
        self._goal: np.ndarray | None = None  # (8,): joints and gripper; None as long as the arm is folded as the task has it
        self._closed = False

    def switch(self) -> None:
        self.drives = "base" if self.drives == "arm" else "arm"

    def action(self, command: Command, closed: bool) -> tuple[np.ndarray, np.ndarray | None]:
        if command.action is not None:
            if command.arm_goal is not None:
                self._hold(command.arm_goal)
            return clipped(command.action), command.arm_goal
        if self.drives == "base" and closed == self._closed:
            right, away, _ = command.move
            return clipped(command.speed * np.array([away, -right, command.turn[2]])), None
        arm_moves = self.drives == "arm" and not command.is_still
        if arm_moves or closed != self._closed:
            self._closed = closed
            joints = self._data.qpos[self._qpos] if self._goal is None else self._goal[:7]
            if arm_moves:
                joints = self._reached(joints, command)
            self._hold(np.append(joints, 1.0 if closed else -1.0))
            return np.zeros(3, np.float32), self._goal
        return np.zeros(3, np.float32), None

    def _hold(self, goal: np.ndarray) -> None:
        self._goal = np.asarray(goal, np.float64)
        self._robot.hold(self._goal)

    def _reached(self, joints: np.ndarray, command: Command) -> np.ndarray:
        """The joint goals (7,) that move the hand as the command says, by damped least squares."""
        heading = self._robot.base_pose()[2]
        cos, sin = np.cos(heading), np.sin(heading)
        to_world = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ TO_ROBOT
        step = command.speed * self._dt * np.concatenate([FASTEST_M_S * to_world @ command.move, FASTEST_RAD_S * to_world @ command.turn])
        jacobian = np.zeros((6, self._model.nv))
        mujoco.mj_jacSite(self._model, self._data, jacobian[:3], jacobian[3:], self._hand)
        jacobian = jacobian[:, self._qvel]
        moved = joints + jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + DAMPING * np.eye(6), step)
        present = self._data.qpos[self._qpos]
        return np.clip(np.clip(moved, present - LEAD_RAD, present + LEAD_RAD), *self._range.T)
