"""One control step of a robosuite environment without the Python of its inner loop.

robosuite 1.5.2 runs 25 physics substeps a control step at 20 Hz, and in each of them its controllers and every observable in Python. `FastControl` leaves the
goals of a control step to robosuite's own `set_goal` (action scaling, clipping, reference frames, goal modes, gripper speed), runs the substeps with compiled
laws, and computes no observables.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from robosuite.controllers.parts.gripper.gripper_controller import GripperController
from robosuite.robots import FixedBaseRobot

from envs.control.laws import LAWS, HeldLaw, Law, covered
from envs.control.snapshot import put_back, take


class FastControl:
    """Does to the physics what `env.step(action)` does, to the last bit and about 3.5 times faster.

    Covered: fixed and wheeled robots (Panda, PandaOmron, …) with the composite controllers `BASIC` or `HYBRID_MOBILE_BASE` and the parts `OSC_POSE`,
    `OSC_POSITION`, `JOINT_POSITION`, `GRIP` and base `JOINT_VELOCITY`, without interpolation. For anything else, or where compiled code rounds otherwise than
    NumPy, `is_fast` is False and robosuite's own loop runs, only without observables.

    Goals live in robosuite's controller objects, so `env.step` and `step` may be mixed. Not touched: observables, the robots' `recent_…` buffers, reward, done,
    rendering. As after `env.step`, what is derived from `qpos` (`xpos`, `site_xpos`, contacts) is that of the last substep's beginning, 2 ms old.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self._bind()

    @property
    def is_fast(self) -> bool:
        """Whether the compiled laws run; False: robosuite's own loop without observables."""
        return self._fast

    def reset(self) -> None:
        """Call after `env.reset()` and after whatever moved the robot since.

        If nothing moved it, everything stays as `env.reset()` left it. Otherwise controllers take the present pose as goal and posture, and grippers start
        anew: a function of the present joint positions alone, whatever noise `env.reset()` had drawn. The solver's warm start is not touched.
        """
        if not all(_as_reset(part) for robot in self.env.robots for part in robot.part_controllers.values()):
            self._take_present_pose()
        self._bind()

    def _take_present_pose(self) -> None:
        model, data = self.env.sim.model._model, self.env.sim.data._data
        for update in (mujoco.mj_kinematics, mujoco.mj_comPos, mujoco.mj_crb):  # all that the controllers read; mj_forward would change the warm start
            update(model, data)
        for robot in self.env.robots:
            for part in robot.part_controllers.values():
                part.new_update = True
                part.update()
                part.initial_joint = part.joint_pos
                part.new_update = True
            for arm in robot.arms:
                if robot.has_gripper[arm]:
                    robot.gripper[arm].current_action = np.zeros(robot.gripper[arm].dof)
            robot.composite_controller.update_state()
            robot.composite_controller.reset()

    def step(self, action: np.ndarray) -> None:
        """One control step with `action` (a,), taken as float64 and left unchanged (robosuite's mobile base rotates it in place).

        Raises ValueError if the action has another length or is not finite, `numpy.linalg.LinAlgError` where robosuite does (a simulation that diverged).
        """
        env = self.env
        action = np.array(action, dtype=np.float64)
        if action.shape != (env.action_dim,) or not np.isfinite(action).all():
            raise ValueError(f"action: needs {env.action_dim} finite numbers, found shape {action.shape}, {np.isfinite(action).sum()} of them finite")
        env.timestep += 1
        substeps = int(env.control_timestep / env.model_timestep)
        if any(robot.composite_controller is not bound for robot, bound in zip(env.robots, self._controllers, strict=True)):
            self._bind()  # every env.reset() makes new controllers, with hard_reset=True another simulation too
        if self._fast:
            self._step_fast(action, substeps)
        else:
            self._step_stock(action, substeps)
        env.cur_time += env.control_timestep

    def state(self) -> dict[str, Any]:
        """Everything that the next `step` depends on, as plain lists, numbers and strings (JSON keeps it exactly). Without the state of interpolators."""
        return take(self.env)

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to `state`: the same actions then give the same bytes. Raises ValueError if it is of another model or other controllers."""
        put_back(self.env, state)

    def _bind(self) -> None:
        """Finds the controllers that the last `env.reset()` made, and the simulator's memory."""
        sim = self.env.sim
        self._model, self._data = sim.model._model, sim.data._data
        self._mass = np.zeros((self._model.nv, self._model.nv))
        self._controllers = [robot.composite_controller for robot in self.env.robots]
        self._fast = covered(self.env)
        self._laws: list[Law] = []
        if self._fast:
            self._laws = [LAWS[type(part)](robot, name, self._mass) for robot in self.env.robots for name, part in robot.part_controllers.items()]

    def _step_fast(self, action: np.ndarray, substeps: int) -> None:
        model, data, mass = self._model, self._data, self._mass
        laws = [law for law in self._laws if law.robot._enabled_parts.get(law.name, False)]
        running: list[Any] = [law for law in laws if not isinstance(law, HeldLaw)]
        moving = getattr(self.env, "moving", None)  # what moves by itself in a task of ours
        mujoco.mj_step1(model, data)
        stale = not all(law.controller.new_update for law in self._laws)
        if stale:  # after env.reset(), robosuite's first substep runs on what the controllers saw when they were made, before gripper and objects were placed
            self.env._pre_action(action, True)
        else:
            self._set_goals(action)
        for law in laws:
            law.controller.new_update = True
            law.prepare()
        for substep in range(substeps):
            if substep:
                mujoco.mj_step1(model, data)
            if substep or not stale:
                mujoco.mj_fullM(model, mass, data.qM)
                for law in running:
                    law()
                if moving is not None:
                    moving()
            mujoco.mj_step2(model, data)
        for robot in self.env.robots:
            robot.composite_controller.update_state()  # a wheeled robot sets its next goal from this, the last substep's, base pose
        for law in laws:
            law.observe()

    def _set_goals(self, action: np.ndarray) -> None:
        """robosuite's own `set_goal` of every robot."""
        for law in self._laws:
            law.observe()
            law.controller.new_update = False  # all that set_goal needs has been observed
        start = 0
        for robot in self.env.robots:
            if isinstance(robot, FixedBaseRobot):
                robot.composite_controller.update_state()
            robot.composite_controller.set_goal(action[start : start + robot.action_dim])
            start += robot.action_dim

    def _step_stock(self, action: np.ndarray, substeps: int) -> None:
        """robosuite's `MujocoEnv.step` without observables, reward and done."""
        env = self.env
        for substep in range(substeps):
            if env.lite_physics:
                env.sim.step1()
            else:
                env.sim.forward()
            env._pre_action(action, substep == 0)
            if env.lite_physics:
                env.sim.step2()
            else:
                env.sim.step()


def _as_reset(part: Any) -> bool:
    """Whether a part controller is as `env.reset()` left it, and its joints where it saw them."""
    # robosuite opens the gripper only after it made that controller
    unmoved = isinstance(part, GripperController) or np.array_equal(part.joint_pos, part.sim.data.qpos[part.qpos_index])
    return unmoved and not part.new_update
