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
    joint_position, joint_velocity, posture = np.empty(joints), np.empty(joints), np.empty(joints)
    jacobian = np.empty((6, joints))
    inertia = np.empty((joints, joints)).T  # in Fortran order, as robosuite's indexing makes it: the layout decides how BLAS sums
    for i in range(joints):
        column = index[1, i]
        joint_position[i], joint_velocity[i], posture[i] = qpos[index[0, i]], qvel[column], gains[12 + i]
        for row in range(3):
            jacobian[row, i] = jacobians[0, row, column]
            jacobian[3 + row, i] = jacobians[1, row, column]
        for k in range(joints):
            inertia[i, k] = mass[column, index[1, k]]

    wanted_position, wanted_rotation = goal[0].copy(), goal[1:]
    if in_base:
        turned = np.dot(base[1], goal[0])
        for i in range(3):
            wanted_position[i] = base[0][i] + turned[i]
        wanted_rotation = np.dot(base[1], goal[1:])
    turn = orientation_error(wanted_rotation, hand[1])
    velocity, base_velocity = np.dot(jacobians[0], qvel), np.dot(jacobians[2], qvel)
    spin, base_spin = np.dot(jacobians[1], qvel), np.dot(jacobians[3], qvel)
    force, moment, wrench = np.empty(3), np.empty(3), np.empty(6)
    for i in range(3):
        force[i] = (wanted_position[i] - hand[0][i]) * gains[i] - (velocity[i] - base_velocity[i]) * gains[6 + i]
        moment[i] = turn[i] * gains[3 + i] - (spin[i] - base_spin[i]) * gains[9 + i]
        wrench[i], wrench[3 + i] = force[i], moment[i]

    full, linear, angular, null = opspace_matrices(inertia, jacobian, jacobian[:3], jacobian[3:])
    if uncoupled:
        force, moment = np.dot(linear, force), np.dot(angular, moment)
        for i in range(3):
            wrench[i], wrench[3 + i] = force[i], moment[i]
    else:
        wrench = np.dot(full, wrench)
    torques = np.dot(jacobian.T, wrench)
    pull = nullspace_torques(inertia, null, posture, joint_position, joint_velocity)
    for i in range(joints):
        torque = torques[i] + bias[index[1, i]] + pull[i]
        ctrl[index[2, i]] = clipped(torque, gains[12 + joints + i], gains[12 + 2 * joints + i])


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
    torques = np.empty(joints)
    for i in range(joints):
        torques[i] = (goal[i] - qpos[index[0, i]]) * gains[0, i] - qvel[index[1, i]] * gains[1, i]
    if compensated:
        inertia = np.empty((joints, joints)).T
        for i in range(joints):
            for k in range(joints):
                inertia[i, k] = mass[index[1, i], index[1, k]]
        torques = np.dot(inertia, torques)
        for i in range(joints):
            torques[i] += bias[index[1, i]]
    for i in range(joints):
        ctrl[index[2, i]] = clipped(torques[i], gains[2, i], gains[3, i])


INERTIA = 3  # which of `_products` is the inertia times a vector of joints


@compiled
def _products(rows: np.ndarray, square: np.ndarray, inverse: np.ndarray, inertia: np.ndarray, jacobian: np.ndarray, vectors: tuple[np.ndarray, ...]) -> Any:
    """The products that robosuite takes in NumPy, with the layouts that they have there."""
    velocity, position, joint_position, wrench = vectors
    moved, turned, pushed = np.dot(rows, velocity), np.dot(square, position), np.dot(inverse, position)
    return moved, turned, pushed, np.dot(inertia, joint_position), np.dot(jacobian.T, wrench), np.dot(square, square.copy())


@functools.cache
def rounds_like_numpy(joints: int, nv: int, arm: bool, trials: int = 64) -> bool:
    """Whether compiled products round as NumPy's do, to the last bit, on the shapes of `arm_torques` or, without `arm`, on the one of `joint_torques`.

    robosuite takes some products in NumPy and some in compiled code; compiled code uses SciPy's BLAS, which is often, not always, the same library, and
    sums in an order that depends on the processor (with AVX-512 a product of a row and a column differs, which no arm of several joints takes).
    """
    rng = np.random.Generator(np.random.PCG64(0))
    plain = getattr(_products, "py_func", _products)
    for _ in range(trials):
        rows, square, jacobian = (rng.standard_normal(shape) for shape in ((3, nv), (3, 3), (6, joints)))
        inverse, inertia = (np.asfortranarray(rng.standard_normal((n, n))) for n in (3, joints))
        vectors = tuple(rng.standard_normal(size) for size in (nv, 3, joints, 6))
        arguments = (rows, square, inverse, inertia, jacobian, vectors)
        pairs = list(zip(_products(*arguments), plain(*arguments), strict=True))
        if not all(np.array_equal(one, other) for one, other in (pairs if arm else pairs[INERTIA : INERTIA + 1])):
            return False
    return True
