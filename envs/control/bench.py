"""How fast the control loop is beside robosuite's own, and how far their states are apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.control.fast import FastControl


def steps_per_second(env: Any, step: Callable[[np.ndarray], Any], seconds: float = 2.0, *, seed: int = 0) -> float:
    """Control steps a second of `step(action)` on the robosuite environment `env` with random actions.

    Runs for about `seconds` of this thread's processor time, which other processes disturb less than the clock on the wall.
    Raises ValueError if the environment may end in between (make it with `ignore_done=True`).
    """
    if not env.ignore_done:
        raise ValueError("env: needs ignore_done=True, so that no episode ends while the clock runs")
    rng = np.random.default_rng(seed)
    for _ in range(3):  # compilation and caches
        step(rng.uniform(-1.0, 1.0, env.action_dim))
    count, start = 0, time.thread_time()
    while (elapsed := time.thread_time() - start) < seconds:
        step(rng.uniform(-1.0, 1.0, env.action_dim))
        count += 1
    return count / elapsed


def largest_difference(env: Any, control: FastControl, actions: np.ndarray) -> tuple[float, float]:
    """Largest |Δqpos| and |Δqvel| between `control.step` and `env.step` over `actions` (t, a), both from the present state, to which `env` returns."""
    start, data = control.state(), env.sim.data
    qpos, qvel = np.empty((len(actions), data.qpos.size)), np.empty((len(actions), data.qvel.size))
    for i, action in enumerate(actions):
        env.step(np.array(action, dtype=np.float64))
        qpos[i], qvel[i] = data.qpos, data.qvel
    control.restore(start)
    apart = [0.0, 0.0]
    for i, action in enumerate(actions):
        control.step(action)
        apart = [max(apart[0], float(np.abs(data.qpos - qpos[i]).max())), max(apart[1], float(np.abs(data.qvel - qvel[i]).max()))]
    control.restore(start)
    return apart[0], apart[1]


def compare(env: Any, *, seconds: float = 0.5, rounds: int = 7, steps: int = 200, seed: int = 0) -> dict[str, float | bool]:
    """Fast against stock control on one robosuite environment without cameras.

    Returns both rates (control steps a second of processor time) and their ratio, medians over alternating rounds from the same state, and the largest
    differences in qpos and qvel over `steps` random actions after a reset.
    """
    env.reset()
    control = FastControl(env)
    control.reset()
    start = control.state()
    actions = np.random.default_rng(seed).uniform(-1.0, 1.0, (steps, env.action_dim))
    qpos_difference, qvel_difference = largest_difference(env, control, actions)
    stock, fast = [], []
    for round_seed in range(seed, seed + rounds):
        for step, rates in ((env.step, stock), (control.step, fast)):
            control.restore(start)
            rates.append(steps_per_second(env, step, seconds, seed=round_seed))
    control.restore(start)
    return {
        "is_fast": control.is_fast,
        "stock_hz": statistics.median(stock),
        "fast_hz": statistics.median(fast),
        "ratio": statistics.median(one / other for one, other in zip(fast, stock, strict=True)),
        "qpos_difference": qpos_difference,
        "qvel_difference": qvel_difference,
    }
