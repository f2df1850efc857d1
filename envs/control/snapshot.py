"""Everything that the next control step depends on: the physics, and what robosuite's controllers carry along."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

PHYSICS = mujoco.mjtState.mjSTATE_INTEGRATION

CARRIED = (
    "goal_pos", "goal_ori", "goal_qpos", "goal_qvel", "goal_torque", "_goal_update_mode",
    "origin_pos", "origin_ori", "init_pos", "init_ori", "initial_joint", "kp", "kd", "new_update",
)  # fmt: skip
"""What part controllers carry from one control step to the next."""

SEEN = ("ref_pos", "ref_ori_mat", "ref_pos_vel", "ref_ori_vel", "J_pos", "J_ori", "J_full", "joint_pos", "joint_vel", "mass_matrix")
"""What part controllers saw of the state; read again in the next substep unless `new_update` is False, as between `env.reset()` and the first step."""


def take(env: Any) -> dict[str, Any]:
    """The state of the robosuite environment `env` as plain lists, numbers and strings."""
    model, data = env.sim.model._model, env.sim.data._data
    physics = np.empty(mujoco.mj_stateSize(model, PHYSICS))
    mujoco.mj_getState(model, data, physics, PHYSICS)
    robots = []
    for robot in env.robots:
        parts = {name: _part(controller) for name, controller in robot.part_controllers.items()}
        grippers = {arm: _plain(robot.gripper[arm].current_action) for arm in robot.arms if robot.has_gripper[arm]}
        robots.append({"parts": parts, "grippers": grippers})
    return {"physics": physics.tolist(), "timestep": int(env.timestep), "cur_time": float(env.cur_time), "robots": robots}


def put_back(env: Any, state: dict[str, Any]) -> None:
    """Sets `env` to `state`, with all that is derived from it up to date. Raises ValueError if the state is of another model or other controllers."""
    model, data = env.sim.model._model, env.sim.data._data
    physics = np.asarray(state["physics"], dtype=np.float64)
    size = mujoco.mj_stateSize(model, PHYSICS)
    if physics.shape != (size,):
        raise ValueError(f"state: physics has shape {physics.shape}, this model needs ({size},)")
    found, needed = [sorted(robot["parts"]) for robot in state["robots"]], [sorted(robot.part_controllers) for robot in env.robots]
    if found != needed:
        raise ValueError(f"state: controllers {found}, this environment has {needed}")
    mujoco.mj_setState(model, data, physics, PHYSICS)
    mujoco.mj_forward(model, data)
    mujoco.mj_setState(model, data, physics, PHYSICS)  # mj_forward has moved the solver's warm start
    for robot, saved in zip(env.robots, state["robots"], strict=True):
        for name, controller in robot.part_controllers.items():
            for key, value in saved["parts"][name].items():
                setattr(controller, key, _array(key, value) if isinstance(value, list) else value)
        for arm, value in saved["grippers"].items():
            robot.gripper[arm].current_action = np.array(value, dtype=np.float64)
    env.timestep, env.cur_time = state["timestep"], state["cur_time"]


def _part(controller: Any) -> dict[str, Any]:
    keys = CARRIED if controller.new_update else CARRIED + SEEN
    return {key: _plain(getattr(controller, key)) for key in keys if hasattr(controller, key)}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _array(key: str, value: list[Any]) -> np.ndarray:
    """robosuite's indexing leaves the mass matrix in Fortran order, and the layout decides how BLAS sums."""
    return np.array(value, dtype=np.float64, order="F" if key == "mass_matrix" else "C")
