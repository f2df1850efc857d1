"""The physics of a robosuite environment: control steps, states, and whether it is still sound. No observations, no pictures."""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from typing import Any

import mujoco
import numpy as np

DIVERGED = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)


def _warned(message: str) -> None:
    """MuJoCo's own handler writes MUJOCO_LOG.TXT into the current folder; that the physics diverged is told by `Physics.step`."""
    logging.getLogger(__name__).debug(message)


class Physics:
    """Steps and restores `environment`, a robosuite environment that keeps its model (`hard_reset=False`).

    After `step` and `set_state` everything that follows from positions and velocities (body poses, contacts) is up to date; in
    robosuite it is one substep old. The extra `mj_step1` computes what the next step would compute anyway, so states stay the same.
    """

    def __init__(self, environment: Any) -> None:
        from envs.control import FastControl  # imports robosuite, which envs.tasks does first, and quietly

        self._environment = environment
        self.model: mujoco.MjModel = environment.sim.model._model
        self.data: mujoco.MjData = environment.sim.data._data
        self._control = FastControl(environment)
        mujoco.set_mju_user_warning(_warned)

    def restart(self) -> None:
        """To be called after robosuite's own reset."""
        self.set_state(0.0, self.data.qpos.copy(), self.data.qvel.copy())

    def set_state(self, time: float, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Sets time (s), qpos and qvel; nothing else is kept of what was before, and the controllers hold the pose."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.time, self.data.qpos[:], self.data.qvel[:] = time, qpos, qvel
        for robot in self._environment.robots:
            for part in robot.part_controllers.values():
                part.new_update = True  # "not up to date": take the pose anew, after robosuite's reset too, so that both ways lead to the same bytes
        self._control.reset()
        mujoco.mj_step1(self.model, self.data)

    def step(self, action: np.ndarray) -> bool:
        """One control step. False if the physics diverged."""
        try:
            self._control.step(action)
        except np.linalg.LinAlgError:  # the control law met a state that is not finite
            return False
        mujoco.mj_step1(self.model, self.data)
        return self.is_sound()

    def is_sound(self) -> bool:
        """Whether the state is finite and MuJoCo has not had to reset it."""
        warned = any(self.data.warning[int(kind)].number for kind in DIVERGED)
        return not warned and bool(np.isfinite(self.data.qpos).all() and np.isfinite(self.data.qvel).all())

    def state(self) -> np.ndarray:
        """float64 (1 + nq + nv,): time, qpos, qvel."""
        return np.concatenate([[self.data.time], self.data.qpos, self.data.qvel])

    def xml(self) -> str:
        """The model's XML without this machine's folders: paths of assets begin at `robosuite/`."""
        root = ET.fromstring(self._environment.model.get_xml())
        for element in root.iter():
            path = element.get("file")
            if path and "/robosuite/" in path:
                element.set("file", "robosuite/" + path.rpartition("/robosuite/")[2])
        if hasattr(self._environment, "mark_xml"):  # what a start has changed in the model
            self._environment.mark_xml(root)
        return ET.tostring(root, encoding="unicode")
