"""`python -m envs.demos.replay demos=…`: repeats the executed actions in the simulator; fails if an episode drifts or no longer succeeds."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from envs import check_task
from envs.catalogue import check_version, recorded_version
from envs.demos.episodes import Episode, episode_paths, read_attrs, read_episode
from envs.foreign.names import needs_import
from envs.motion import motion_of, recorded
from envs.options import Task
from whatwhere.command import command
from whatwhere.errors import BadInput, about
from whatwhere.kinds import InputPath, OneOf, Range
from whatwhere.options import options
from whatwhere.versions import check_simulator

if TYPE_CHECKING:
    from envs.base import TaskEnv

START_KEYS = ("task", "task_version", "split", "horizon", "frame_gap", "motion", "speed")


@options
class Settings:
    """What `envs/conf/replay.yaml` describes."""

    demos: InputPath
    start: Annotated[str, OneOf("seed", "state")]
    tolerance: Annotated[float, Range(0, 1000)]
    task: Task | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one episode; `drift` is the largest difference between a recorded state and the one reached (m, rad, m/s, rad/s)."""

    success: bool
    drift: float
    same_start: bool
    recorded_success: bool = True  # of play it need not be one

    def complaint(self, tolerance: float) -> str | None:
        """Why the replay counts as failed; None if it does not."""
        if not self.same_start:
            return "the start is another one"
        if not self.drift <= tolerance:
            return f"drifts by {self.drift:.3g}, more than {tolerance:g}"
        return "does not succeed" if self.recorded_success and not self.success else None


def begin(env: TaskEnv, episode: Episode) -> dict[str, Any]:
    """Resets `env` to the start of `episode`, or, where it names none, to any start; returns the info. Raises BadInput where looks depend on it."""
    seed, number = episode.attrs["seed"], episode.attrs["episode"]
    if env.split is not None and (seed is None or number is None):
        raise BadInput(f"the demonstration names no seed and episode: what lies there in version {env.task_version} of {env.task} is not known without them")
    return env.reset(seed=seed or 0, options={"episode": number or 0})[1]


def replay(env: TaskEnv, episode: Episode, start: str = "seed") -> Outcome:
    """Plays the executed actions of `episode` in `env`, drawing nothing that is not needed. `start` "seed" or "state". Raises BadInput."""
    seed, number = episode.attrs["seed"], episode.attrs["episode"]
    if start == "seed" and (seed is None or number is None):
        raise BadInput("start=seed: the demonstration names no seed and episode; use start=state")
    info = begin(env, episode)
    if start == "state":
        env.set_state(episode.states[0])
    states = [env.get_state()]
    if states[0].shape != episode.states[0].shape:
        raise BadInput(f"states: have {episode.states.shape[1]} numbers, the task's have {len(states[0])}: recorded with another model")
    actions = episode.actions if episode.executed_actions is None else episode.executed_actions
    if actions.shape[1] != env.action_dim:
        raise BadInput(f"actions: have {actions.shape[1]} numbers, the task's have {env.action_dim}: recorded with another model")
    goals = {int(step): np.array(goal) for step, *goal in episode.attrs.get("arm_goals") or ()}  # of an arm that teleoperation moved beside the actions
    if goals and not hasattr(env.simulation, "hold"):
        raise BadInput(f"arm_goals: there are some, but the arm of task={env.task} moves by its actions alone")

    def after(env: TaskEnv, action: np.ndarray, info: dict[str, Any]) -> None:
        states.append(env.get_state())
        hold(len(states) - 1)

    def hold(step: int) -> None:
        if step in goals:
            env.simulation.hold(goals[step])

    hold(0)
    *_, info, _ = env.step_chunk(actions, on_step=after)
    reached = np.stack(states)[: len(episode.states)]
    drift = float(np.abs(reached - episode.states[: len(reached)]).max())
    same_start = start == "state" or episode.attrs["init_hash"] in (None, info["init_hash"])
    return Outcome(bool(info["success"]), drift, same_start, episode.success)


def check_named(attrs: dict[str, Any], path: Path, task: str | None) -> None:
    """Raises BadInput unless a demonstration's task can be made: here, and without importing a module that only the file names."""
    if "no_environment" in attrs:
        raise BadInput(f"{path}: no environment here fits this demonstration: {attrs['no_environment']}")
    check_task(attrs["task"], f"{path}: task")
    if task not in (None, attrs["task"]):
        raise BadInput(f"task={task}: {path} was recorded in task={attrs['task']}")
    if task is None and needs_import(attrs["task"]):
        raise BadInput(f"task: {path} was recorded in a module's own {attrs['task']}; add task={attrs['task']} to import that module")


def make_env(attrs: dict[str, Any], path: Path, **changes: Any) -> TaskEnv:
    """The environment that a demonstration was recorded in. Raises BadInput if it is no longer the same task."""
    import envs

    settings: dict[str, Any] = (
        {name: attrs[name] for name in ("rendering", "size", "frame_gap", "horizon", "cameras")} | recorded(attrs) | {"origin": attrs.get("origin")} | changes
    )
    with about(str(path)):
        check_version(attrs["task"], **recorded_version(attrs))
        motion_of(attrs["task"], attrs.get("motion"), attrs.get("speed"), recorded_version(attrs).get("version", 0))
    env = envs.make(attrs["task"], **recorded_version(attrs), **settings)
    if env.task_version != attrs["task_version"]:
        raise BadInput(f"{path}: task_version={attrs['task_version']}, now it is {env.task_version}: another task")
    return env


def main(settings: Settings) -> None:
    path = Path(settings.demos)
    paths = [path] if path.suffix == ".hdf5" else episode_paths(path)
    headers = [read_attrs(path) for path in paths]
    check_alike(paths, headers, START_KEYS)
    check_named(headers[0], paths[0], settings.task)
    check_simulator()
    failed = 0
    with contextlib.closing(make_env(headers[0], paths[0])) as env:
        for path in paths:
            outcome = replay(env, read_episode(path, frames=False), settings.start)
            complaint = outcome.complaint(settings.tolerance)
            failed += complaint is not None
            print(f"{path.name}: {'ok' if complaint is None else 'FAILED: ' + complaint} · drift {outcome.drift:.3g}", flush=True)
    print(f"{len(paths) - failed} of {len(paths)} replayed")
    if failed:
        raise SystemExit(1)


def check_alike(paths: list[Path], headers: list[dict[str, Any]], keys: tuple[str, ...]) -> None:
    """Raises BadInput if the demonstrations of a folder do not have these settings in common."""
    for path, header in zip(paths, headers, strict=True):
        for key in keys:
            if header.get(key) != headers[0].get(key):
                raise BadInput(f"{path}: {key}={header.get(key)}, but {paths[0].name} has {headers[0].get(key)}: do not mix them in one folder")


if __name__ == "__main__":
    command("envs.conf", "replay", Settings, main)
