"""What moves by itself in a robosuite environment of ours: bodies are led along a course, in each substep, until the robot touches one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.motion import Motion
from envs.tasks.motion import MOVED_S, PUSH_S, Course, IsFree, Scale, draw_drift, draw_push

ASTRAY_M = 0.005  # so far from its course a thing counts as one that the robot has moved


@dataclass(frozen=True)
class Moved:
    """Bodies that move together: addresses of their x and y in qpos and qvel, of all their numbers in qvel; bodies that gravity would press on the table."""

    qpos_xy: np.ndarray  # (n, 2)
    qvel_xy: np.ndarray  # (n, 2)
    qvel: np.ndarray  # (m,)
    bodies: np.ndarray  # (n,) or (0,)
    start_xy: np.ndarray  # (n, 2) m: where they lay at the start


class Moving:
    """The course of one episode, and what leads the bodies along it.

    While they move, their velocities are set and their weight is carried, so that they glide without friction, upright and exactly as fast as told.
    From the moment of a touch they are ordinary things again, at rest: a grasp finds a free body. All of it is a function of the start, the
    simulator's time and what the robot does.
    """

    def __init__(self, motion: Motion, scale: Scale) -> None:
        self.motion, self.scale = motion, scale

    # ---- an episode's start

    def draw(self, rng: np.random.Generator, is_free: IsFree) -> bool:
        """Draws the course of an episode. False if this start has no room for one."""
        kind, scale = self.motion.kind, self.scale
        speed_m_s = rng.uniform(*self.motion.speed) / 100 if self.motion.speed else 0.0
        course: Course | None
        if kind == "nudged":
            self.near_m = float(rng.uniform(*scale.near_m))
            course = draw_push(rng, float(rng.uniform(*scale.push_m)), PUSH_S, scale, is_free)
        elif kind == "was_moved":
            course = draw_push(rng, speed_m_s * MOVED_S, MOVED_S, scale, is_free)
        else:
            course = draw_drift(rng, speed_m_s, scale, is_free)
        if course is not None:
            self.course = course
        return course is not None

    def begin(self, task: Any, moved: Moved) -> None:
        """Binds the simulator of `task` at an episode's start, or in the middle of one: what has left its course by then moves no more."""
        self._task, self._moved, self._data = task, moved, task.sim.data._data
        model = task.sim.model._model
        self._step_s, self._weights = model.opt.timestep, -model.opt.gravity[2] * model.body_mass[moved.bodies]
        self.began_s: float | None = None if self.motion.kind == "nudged" else 0.0
        self.stopped = float(np.abs(self._data.qpos[moved.qpos_xy] - self._places(self._data.time)).max()) > ASTRAY_M

    # ---- its course

    def __call__(self) -> None:
        """To be called in each substep, between `mj_step1` and `mj_step2`."""
        if self.stopped:
            return
        data, moved, now = self._data, self._moved, self._data.time
        if self.began_s is None and self._task.robot_distance_m() < self.near_m:
            self.began_s = now
        if self._task.robot_touches() or (self.began_s is not None and self.course.is_over(now - self.began_s)):
            self.stopped = True
            data.xfrc_applied[moved.bodies, 2] = 0.0
            if self.began_s is not None:
                data.qvel[moved.qvel] = 0.0
        elif self.began_s is not None:
            data.xfrc_applied[moved.bodies, 2] = self._weights
            data.qvel[moved.qvel] = 0.0
            data.qvel[moved.qvel_xy] = (self._places(now + self._step_s) - data.qpos[moved.qpos_xy]) / self._step_s

    def _places(self, time: float) -> np.ndarray:
        """(n, 2): where the bodies are when nobody touches them."""
        return self._moved.start_xy + (0.0 if self.began_s is None else self.course.offset(time - self.began_s))

    # ---- what is read of it

    def velocity(self) -> np.ndarray:
        """(3,) m/s: with which the bodies move by themselves now."""
        if self.stopped or self.began_s is None:
            return np.zeros(3)
        seconds = self._data.time - self.began_s
        return np.append((self.course.offset(seconds + self._step_s) - self.course.offset(seconds)) / self._step_s, 0.0)

    def is_told(self) -> bool:
        """Whether pictures have shown by now what moves."""
        return self.began_s is not None and self.course.travelled(self._data.time - self.began_s) >= self.scale.seen_m
