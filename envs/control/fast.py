"""One control step of a robosuite environment without the Python of its inner loop.

robosuite 1.5.2 runs 25 physics substeps a control step at 20 Hz, and in each of them its controllers and every observable in Python. `FastControl` leaves the goals of a
control step to robosuite's own `set_goal` (action scaling, clipping, reference frames, goal modes, gripper speed), runs the 25 substeps with compiled laws, and computes no observables.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from robosuite.robots import FixedBaseRobot

from envs.control.laws import LAWS, HeldLaw, Law, covered

CONTROLLER_STATE = (
    "goal_pos", "goal_ori", "goal_qpos", "goal_qvel", "goal_torque", "_goal_update_mode",
    "origin_pos", "origin_ori", "init_pos", "init_ori", "initial_joint", "kp", "kd",
)  # fmt: skip
"""What robosuite's part controllers carry from one control step to the next."""


class FastControl:
    """Does to the physics what `env.step(action)` does, several times faster.

    Covered: Panda and other fixed or wheeled robots with the composite controllers `BASIC` or `HYBRID_MOBILE_BASE` and the parts `OSC_POSE`, `OSC_POSITION`, `JOINT_POSITION`,
    `GRIP` and base `JOINT_VELOCITY`, without interpolation. For anything else `is_fast` is False and robosuite's own loop runs, only without observables.

    States agree with robosuite's to rounding error (a test holds them within 1e-10 over 200 random steps); the same actions give the same bytes on the same machine. Goals live in
    robosuite's controller objects, so `env.step` and `step` may be mixed. Not touched: observables, the robots' `recent_…` buffers, reward, done, rendering.
    As with `env.step`, positions derived from `qpos` (`xpos`, `site_xpos`, contacts) are those of the last substep's beginning: 2 ms old.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self._bind()

    @property
    def is_fast(self) -> bool:
        """Whether the compiled laws run; False: robosuite's own loop without observables."""
        return self._fast

    def reset(self) -> None:
        """Call after `env.reset()`, and after the robot was moved by hand: controllers take the present pose as goal and posture, grippers and buffers start anew.

        Equal to what `env.reset()` itself did if nothing moved since; a function of the present joint positions alone. `qacc_warmstart` is not touched.
        """
        model, data = self.env.sim.model._model, self.env.sim.data._data
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_crb(model, data)
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
        self._bind()

    def step(self, action: np.ndarray) -> None:
        """One control step with `action` (a,), taken as float64 and left unchanged (robosuite's mobile base rotates it in place).

        Raises ValueError if the action has another length or is not finite, `numpy.linalg.LinAlgError` where robosuite does (a simulation that diverged).
        """
        env = self.env
        action = np.array(action, dtype=np.float64)
        if action.shape != (env.action_dim,) or not np.isfinite(action).all():
            raise ValueError(f"action: needs {env.action_dim} finite numbers, found shape {action.shape}{'' if np.isfinite(action).all() else ' with NaN or infinity'}")
        if self._model is not env.sim.model._model:
            self._bind()  # env.reset() with hard_reset=True made another simulation
        env.timestep += 1
        substeps = int(env.control_timestep / env.model_timestep)
        if self._fast:
            self._step_fast(action, substeps)
        else:
            self._step_stock(action, substeps)
        env.cur_time += env.control_timestep

    def state(self) -> dict[str, Any]:
        """Everything that the next `step` depends on, as plain lists, numbers and strings (JSON keeps it exactly)."""
        model, data = self.env.sim.model._model, self.env.sim.data._data
        physics = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(model, data, physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        robots = []
        for robot in self.env.robots:
            parts = {name: {key: _plain(getattr(part, key)) for key in CONTROLLER_STATE if hasattr(part, key)} for name, part in robot.part_controllers.items()}
            grippers = {arm: _plain(robot.gripper[arm].current_action) for arm in robot.arms if robot.has_gripper[arm]}
            robots.append({"parts": parts, "grippers": grippers})
        return {"physics": physics.tolist(), "timestep": int(self.env.timestep), "cur_time": float(self.env.cur_time), "robots": robots}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to `state`: the same actions then give the same bytes. Derived quantities are brought up to date. Raises ValueError if it is of another model or robot."""
        env, model, data = self.env, self.env.sim.model._model, self.env.sim.data._data
        physics = np.asarray(state["physics"], dtype=np.float64)
        size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
        if physics.shape != (size,):
            raise ValueError(f"state: physics has shape {physics.shape}, this model needs ({size},)")
        found, needed = [sorted(robot["parts"]) for robot in state["robots"]], [sorted(robot.part_controllers) for robot in env.robots]
        if found != needed:
            raise ValueError(f"state: controllers {found}, this environment has {needed}")
        mujoco.mj_setState(model, data, physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(model, data)
        mujoco.mj_setState(model, data, physics, mujoco.mjtState.mjSTATE_INTEGRATION)  # mj_forward has moved the solver's warm start
        for robot, saved in zip(env.robots, state["robots"], strict=True):
            for name, part in robot.part_controllers.items():
                for key, value in saved["parts"][name].items():
                    setattr(part, key, np.array(value, dtype=np.float64) if isinstance(value, list) else value)
                part.new_update = True
            for arm, value in saved["grippers"].items():
                robot.gripper[arm].current_action = np.array(value, dtype=np.float64)
        env.timestep, env.cur_time = state["timestep"], state["cur_time"]

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
        if any(robot.composite_controller is not bound for robot, bound in zip(self.env.robots, self._controllers, strict=True)):
            self._bind()  # every env.reset() makes new controllers
        model, data, mass = self._model, self._data, self._mass
        mujoco.mj_step1(model, data)
        laws = self._set_goals(action)
        for substep in range(substeps):
            if substep:
                mujoco.mj_step1(model, data)
            mujoco.mj_fullM(model, mass, data.qM)
            for law in laws:
                law()
            mujoco.mj_step2(model, data)
        for robot in self.env.robots:
            robot.composite_controller.update_state()  # a wheeled robot sets its next goal from this, the last substep's, base pose
        for law in self._laws:
            law.observe()

    def _set_goals(self, action: np.ndarray) -> list[Any]:
        """robosuite's own `set_goal` of every robot; returns the laws to run in each substep."""
        for law in self._laws:
            law.observe()
            law.controller.new_update = False  # all that set_goal needs has been observed
        start = 0
        for robot in self.env.robots:
            if isinstance(robot, FixedBaseRobot):
                robot.composite_controller.update_state()
            robot.composite_controller.set_goal(action[start : start + robot.action_dim])
            start += robot.action_dim
        running = []
        for law in self._laws:
            law.controller.new_update = True
            if law.robot._enabled_parts.get(law.name, False):
                law.prepare()
                if not isinstance(law, HeldLaw):
                    running.append(law)
        return running

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


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
