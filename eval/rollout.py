"""The one loop: an episode of an environment under a policy, with subscribers that watch it. Statistics come later, from rows."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from eval.observers import Observer
from eval.playing.rollout_policy import RolloutPolicy


def rollout(env: Any, policy: RolloutPolicy, seed: int, episode: int, observers: Sequence[Observer] = ()) -> dict[str, Any]:
    """Plays episode `episode` of `seed` to its end and returns the facts of its row, with what each observer adds.

    The start and, for a policy that keeps its promise, everything after it are functions of (task version, seed, episode) alone: environment and policy
    are reset here, and nothing is carried from one episode to the next.
    """
    began = time.perf_counter()
    obs, info = env.reset(seed=seed, options={"episode": episode})
    policy.reset(seed, episode)
    row = {
        "task": env.task, "version": env.task_version, "seed": seed, "episode": episode, "init_hash": info["init_hash"],
        "target_xy_m": _start_xy(info),
    }  # fmt: skip
    row |= {"instruction": obs["instruction"]} if env.split else {}  # where it is another one in each episode
    for observer in observers:
        observer.begin(env, policy, obs, info, row)

    steps = 0

    def on_step(env: Any, action: Any, info: dict[str, Any]) -> None:
        for observer in observers:
            observer.step(env, action, info)

    ended = False
    while not ended:
        actions = policy.act(obs, info)  # (k, a)
        for observer in observers:
            observer.query(env, policy, obs, actions)
        obs, _, terminated, truncated, info, executed = env.step_chunk(actions, on_step=on_step)
        steps += executed
        ended = terminated or truncated

    row |= outcome(info) | {"steps": steps}
    for observer in observers:
        row |= observer.end(env, row)
    return row | {"wall_s": round(time.perf_counter() - began, 3)}


def outcome(info: dict[str, Any]) -> dict[str, Any]:
    """What the last step's info says of the episode, as JSON can hold it (a position error that is not finite becomes None)."""
    error = info["position_error_cm"]  # None in tasks from elsewhere that define none
    relation = info.get("is_relation_correct")
    return {
        "success": bool(info["success"]),
        "failure": info.get("failure"),
        "position_error_cm": float(error) if error is not None and math.isfinite(error) else None,
        "is_relation_correct": None if relation is None else bool(relation),
    }


def _start_xy(info: dict[str, Any]) -> list[float] | None:
    """Where the target lay at the start, metres in the world's frame: for maps of the error. None where a task names no target."""
    target = info.get("privileged/target_pos_world")
    return None if target is None else [round(float(value), 6) for value in target[:2]]
