"""Scenes of a table task in which one object drifts while the hand moves: two frames so many control steps apart, for probes of velocity."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.demos.arrange import CLEAR_M, HOVER_M, LEAST_VISIBLE, TILT_RAD, TURN_RAD, Stage, wider
from envs.rendering.projection import projected
from envs.tasks.table import REGION_X_M, REGION_Y_M, TABLE_TOP_M

SECONDS = 0.2  # between the two frames: four control steps, as a policy's pairs are
FASTEST_M_S = 0.12


class DriftStage(Stage):
    """As `Stage`; every object can be seen by the scene camera in the later frame, and any of them may be the one that drifts."""

    def scene(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One scene: pictures, and where everything is; see `envs.demos.scenes`."""
        self._look(rng)
        while True:
            moving, states = self.drift(rng)
            self._see(states[1])
            visible = np.array([self.visible_of_each(camera) for camera in self.cameras], np.int32)  # (cameras, objects)
            if visible[0].min() >= LEAST_VISIBLE * self.size**2:
                break
        places = np.stack([self._places(camera) for camera in self.cameras])
        pictures, objects, gripper = [], [], []
        for state in states:
            self._see(state)
            pictures.append(np.stack([self.renderer.draw(self.data, camera, self.size, self.size) for camera in self.cameras]))
            objects.append(self.data.xpos[self.bodies].astype(np.float32))
            gripper.append(self.data.site_xpos[self.site].astype(np.float32))
        return {
            **(self._named(states) if self.version else {}),
            "frames": np.stack(pictures, axis=1),  # (cameras, 2, h, w, 3)
            "objects_pos_world": np.stack(objects),
            "gripper_pos_world": np.stack(gripper),
            "objects_place": places.astype(np.float32),
            "visible_pixels": visible,
            "motion": np.array(moving, np.int32),
        }

    def drift(self, rng: np.random.Generator) -> tuple[int, list[np.ndarray]]:
        """Which object drifts, and qpos (nq,) of both frames."""
        start = list(self.task.sample_start(rng).values())  # the task's own: x, y, yaw of each
        if self.version:
            self.task.dress()
        before = [np.array([x, y, TABLE_TOP_M + self.task.half_height_m(cube.name), yaw]) for cube, (x, y, yaw) in zip(self.task.cubes, start, strict=True)]
        moving = int(rng.integers(len(before)))
        while True:
            angle, way = rng.uniform(0, 2 * np.pi), rng.uniform(0, FASTEST_M_S) * SECONDS
            there = before[moving] + np.array([way * np.cos(angle), way * np.sin(angle), 0, 0])
            if all(np.linalg.norm((there - other)[:2]) > CLEAR_M for i, other in enumerate(before) if i != moving):
                break
        after = [there if i == moving else pose for i, pose in enumerate(before)]
        x, y, z = (rng.uniform(low, high) for low, high in (wider(REGION_X_M), wider(REGION_Y_M), HOVER_M))
        hand, opening, tilt = np.array([x, y, z, rng.uniform(-TURN_RAD, TURN_RAD)]), rng.uniform(0, 0.04), rng.uniform(-TILT_RAD, TILT_RAD, 2)
        return moving, [self._state(before, hand, tilt, opening), self._state(after, hand + self._step(rng, None), tilt, opening)]

    def _places(self, camera: str) -> np.ndarray:
        """Where the centre of each object is in the picture: (objects, 2), x to the right and y down, from 0 to 1; nan behind the camera."""
        mujoco.mj_camlight(self.model, self.data)
        return projected(self.model, self.data, camera, self.data.xpos[self.bodies], 1, 1)
