"""The torques of one physics substep, compiled around robosuite's own functions: operational-space control of an arm, impedance control of joints."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from robosuite.utils.control_utils import nullspace_torques, opspace_matrices, orientation_error
from robosuite.utils.numba import jit_decorator


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """robosuite's own `jit_decorator` (with its macros `ENABLE_NUMBA` and `CACHE_NUMBA`); without a cache on disk where no cache folder can be written."""
    try:
        return jit_decorator(function)
    except RuntimeError:  # numba: no locator available
        return numba.njit(function)


@compiled
def clipped(value: float, low: float, high: float) -> float:
    """`numpy.clip` of one number: NaN stays."""
    if value < low:
        return low
    return high if value > high else value


@compiled
def arm_torques(
    mass: np.ndarray,
    jacobians: np.ndarray,
    qpos: np.ndarray,
    qvel: np.ndarray,
    bias: np.ndarray,
    hand: tuple[np.ndarray, np.ndarray],
    base: tuple[np.ndarray, np.ndarray],
    goal: np.ndarray,
    gains: np.ndarray,
    index: np.ndarray,
    in_base: bool,
    uncoupled: bool,
    ctrl: np.ndarray,
) -> None:
    """Writes the clipped torques (N m) of an arm of j joints into `ctrl` (actuators,), by robosuite's formulas and in its order of operations (Khatib 1987).

    mass (nv, nv); jacobians (4, 3, nv): position and rotation rows of the hand, then of the arm's base; hand, base: their positions (3,) and rotations (3, 3)
    in the world; goal (4, 3): position and rotation, in the base's frame if `in_base`, else in the world's; gains (12 + 3 j,): kp, kd, the posture's joint
    positions, least and greatest torque; index (3, j): the joints' addresses in qpos, qvel and ctrl. `uncoupled`: position and orientation each get their own
    inertia (robosuite's `uncouple_pos_ori`).
    Raises numpy.linalg.LinAlgError if the mass matrix is singular or holds NaN.
    """
    joints = index.shape[1]
    at_qpos, at_qvel, at_ctrl = index[0], index[1], index[2]
    joint_position, joint_velocity = qpos[at_qpos], qvel[at_qvel]
    jacobian = np.empty((6, joints))
    inertia = np.empty((joints, joints)).T  # in Fortran order, as robosuite's indexing makes it: the layout decides how BLAS sums
    for i in range(joints):
        for row in range(3):
            jacobian[row, i] = jacobians[0, row, at_qvel[i]]
            jacobian[3 + row, i] = jacobians[1, row, at_qvel[i]]
        for k in range(joints):
            inertia[i, k] = mass[at_qvel[i], at_qvel[k]]

    position, rotation = hand
    wanted_position, wanted_rotation = goal[0], goal[1:]
    if in_base:
        wanted_position = base[0] + np.dot(base[1], wanted_position)
        wanted_rotation = np.dot(base[1], wanted_rotation)
    force = (wanted_position - position) * gains[0:3]
    force -= (np.dot(jacobians[0], qvel) - np.dot(jacobians[2], qvel)) * gains[6:9]
    moment = orientation_error(wanted_rotation, rotation) * gains[3:6]
    moment -= (np.dot(jacobians[1], qvel) - np.dot(jacobians[3], qvel)) * gains[9:12]

    full, linear, angular, null = opspace_matrices(inertia, jacobian, jacobian[:3], jacobian[3:])
    wrench = np.concatenate((force, moment))
    if uncoupled:
        wrench[:3] = np.dot(linear, force)
        wrench[3:] = np.dot(angular, moment)
    else:
        wrench = np.dot(full, wrench)
    torques = np.dot(jacobian.T, wrench) + bias[at_qvel]
    torques += nullspace_torques(inertia, null, gains[12 : 12 + joints], joint_position, joint_velocity)

    for i in range(joints):
        ctrl[at_ctrl[i]] = clipped(torques[i], gains[12 + joints + i], gains[12 + 2 * joints + i])


@compiled
def joint_torques(
    mass: np.ndarray,
    qpos: np.ndarray,
    qvel: np.ndarray,
    bias: np.ndarray,
    goal: np.ndarray,
    gains: np.ndarray,
    index: np.ndarray,
    compensated: bool,
    ctrl: np.ndarray,
) -> None:
    """Writes the clipped impedance torques (N m or N) of j joints towards the positions `goal` (j,) into `ctrl` (actuators,).

    mass (nv, nv); gains (4, j): kp, kd, least and greatest torque; index (3, j): the joints' addresses in qpos, qvel and ctrl. `compensated`: inertia and bias
    forces are applied.
    """
    joints = index.shape[1]
    at_qpos, at_qvel, at_ctrl = index[0], index[1], index[2]
    torques = (goal - qpos[at_qpos]) * gains[0] - qvel[at_qvel] * gains[1]
    if compensated:
        inertia = np.empty((joints, joints)).T
        for i in range(joints):
            for k in range(joints):
                inertia[i, k] = mass[at_qvel[i], at_qvel[k]]
        torques = np.dot(inertia, torques) + bias[at_qvel]
    for i in range(joints):
        ctrl[at_ctrl[i]] = clipped(torques[i], gains[2, i], gains[3, i])


@compiled
def _products(
    rows: np.ndarray, velocity: np.ndarray, square: np.ndarray, inverse: np.ndarray, inertia: np.ndarray, jacobian: np.ndarray, wrench: np.ndarray
) -> np.ndarray:
    """The products that robosuite takes in NumPy, with the layouts that they have there."""
    vector, joint_vector = velocity[:3], velocity[: inertia.shape[0]]
    turned = np.dot(square, square.copy()).copy().reshape(9)
    return np.concatenate(
        (np.dot(rows, velocity), np.dot(square, vector), turned, np.dot(inverse, vector), np.dot(inertia, joint_vector), np.dot(jacobian.T, wrench))
    )


@functools.cache
def rounds_like_numpy(joints: int, nv: int, trials: int = 64) -> bool:
    """Whether compiled products round as NumPy's do, to the last bit, on the shapes of these laws.

    robosuite takes some products in NumPy and some in compiled code; compiled code uses SciPy's BLAS, which is often, not always, the same library.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    plain = getattr(_products, "py_func", _products)
    for _ in range(trials):
        rows, velocity, square, jacobian, wrench = (rng.standard_normal(shape) for shape in ((3, nv), nv, (3, 3), (6, joints), 6))
        inverse, inertia = (np.asfortranarray(rng.standard_normal((n, n))) for n in (3, joints))
        arguments = (rows, velocity, square, inverse, inertia, jacobian, wrench)
        if not np.array_equal(_products(*arguments), plain(*arguments)):
            return False
    return True
