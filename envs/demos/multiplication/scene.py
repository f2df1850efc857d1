"""What multiplying needs to know of an environment: hand, fingers and loose objects, now or in a recorded state, and what an action means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from envs.demos.multiplication.moment import Moment
from envs.demos.multiplication.planar import symmetry_of
from whatwhere.errors import BadInput

if TYPE_CHECKING:
    from envs.base import TaskEnv

ARM_NUMBERS = 7  # three moves, three turns, gripper


class Scene:
    """The arm and the loose objects of `env`. Raises BadInput for a task whose motions cannot be moved with its objects."""

    def __init__(self, env: TaskEnv) -> None:
        simulation, where = env.simulation, f"task={env.task}"
        robots = getattr(simulation, "robots", ())
        if len(robots) != 1 or env.action_dim != ARM_NUMBERS or hasattr(simulation, "hold"):
            raise BadInput(f"{where}: multiplied are demonstrations of one arm at its place, with actions of {ARM_NUMBERS} numbers (moves, turns, gripper)")
        robot = robots[0]
        arm = robot.arms[0]
        control: Any = robot.part_controllers[arm]
        if getattr(control, "input_type", None) != "delta" or not getattr(control, "use_ori", False):
            raise BadInput(f"{where}: multiplied are demonstrations with relative poses of the hand as actions (OSC_POSE), found {type(control).__name__}")
        self.model: mujoco.MjModel = simulation.sim.model._model
        self.now: mujoco.MjData = simulation.sim.data._data
        self._then = mujoco.MjData(self.model)
        self.reach = np.array(control.output_max, float)  # (6,): m and rad that an action of 1 asks for
        self._hand = robot.eef_site_id[arm]
        self._base = self.model.site(f"{control.naming_prefix}{control.part_name}_center").id if control.input_ref_frame == "base" else None
        self._fingers = np.asarray(robot._ref_gripper_joint_pos_indexes[arm])
        pads = robot.gripper[arm].important_geoms
        self._pads = [{self.model.geom(name).id for name in pads[side]} for side in ("left_fingerpad", "right_fingerpad") if pads.get(side)]
        loose = [j for j in range(self.model.njnt) if self.model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE]
        self._bodies = {int(self.model.jnt_bodyid[j]): self.model.body(self.model.jnt_bodyid[j]).name.removesuffix("_main") for j in loose}
        if not self._bodies or not self._pads:
            raise BadInput(
                f"{where}: has {'no loose objects' if not self._bodies else 'no fingers'}, so there is nothing that segments of motion could be about"
            )
        self._is_any_shape = env.split is not None  # in version 1 a start draws shapes; the cube's symmetry is the least
        self.symmetry = {name: symmetry_of(self._outline(body)) for body, name in self._bodies.items()}

    def moment(self, state: np.ndarray | None = None) -> Moment:
        """The present state, or a recorded one (time, qpos, qvel)."""
        data = self.now
        if state is not None:
            data = self._then
            data.qpos[:] = state[1 : 1 + self.model.nq]
            mujoco.mj_fwdPosition(self.model, data)
        objects = {name: (data.xpos[body].copy(), data.xmat[body].reshape(3, 3).copy()) for body, name in self._bodies.items()}
        hand_pos, hand_rot = data.site_xpos[self._hand].copy(), data.site_xmat[self._hand].reshape(3, 3).copy()
        return Moment(hand_pos, hand_rot, data.qpos[self._fingers].copy(), objects, self._grasped(data))

    @property
    def base_rot(self) -> np.ndarray:
        """(3, 3): the axes in which actions are meant."""
        return np.eye(3) if self._base is None else self.now.site_xmat[self._base].reshape(3, 3)

    def _grasped(self, data: mujoco.MjData) -> frozenset[str]:
        touched: list[set[int]] = [set() for _ in self._pads]
        for pair in data.contact.geom:
            for pad, other in (pair, pair[::-1]):
                for side, pads in zip(touched, self._pads, strict=True):
                    if pad in pads:
                        side.add(int(self.model.body_rootid[self.model.geom_bodyid[other]]))
        return frozenset(self._bodies[body] for body in set.intersection(*touched) if body in self._bodies)

    def _outline(self, body: int) -> np.ndarray:
        """Points (n, 2) that span an object as it stands, seen from above, in its own axes."""
        points = []
        for geom in np.flatnonzero(self.model.body_rootid[self.model.geom_bodyid] == body):
            if not self.model.geom_contype[geom] and not self.model.geom_conaffinity[geom]:
                continue  # only seen
            rotation = np.empty(9)
            mujoco.mju_quat2Mat(rotation, self.model.geom_quat[geom])
            points.append(self._corners(geom) @ rotation.reshape(3, 3).T + self.model.geom_pos[geom])
        return np.concatenate(points)[:, :2] if points else np.zeros((1, 2))

    def _corners(self, geom: int) -> np.ndarray:
        """Points (n, 3) that span a geom, in its own axes."""
        kind, size = self.model.geom_type[geom], self.model.geom_size[geom]
        if kind == mujoco.mjtGeom.mjGEOM_MESH:
            mesh = self.model.geom_dataid[geom]
            first, count = self.model.mesh_vertadr[mesh], self.model.mesh_vertnum[mesh]
            return np.asarray(self.model.mesh_vert[first : first + count], float)
        if kind == mujoco.mjtGeom.mjGEOM_BOX or self._is_any_shape:
            return np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * size
        angles = np.arange(72) * np.pi / 36
        ring, radius = np.stack([np.cos(angles), np.sin(angles)], axis=1), size[0]
        half = size[1] if kind in (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE) else 0.0
        upright = np.concatenate([np.column_stack([radius * ring, np.full(72, z)]) for z in (-half, half)])
        return upright if half else np.concatenate([upright, upright[:, [2, 0, 1]], upright[:, [1, 2, 0]]])
