"""Demonstrations of others held against the environment of their task here, and made into what it would have recorded.

Their observations are mapped onto the task's: proprio is made anew from the states, pictures stay the file's own. That the file means what it says is tried:
at the same states the environment must show the same, and the recorded actions must lead where the recorded states go.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.demos.episodes import Episode
from envs.demos.formats import Source
from envs.demos.formats.foreign import UNKNOWN
from whatwhere.counted import counted
from whatwhere.errors import BadInput

if TYPE_CHECKING:
    from envs.base import TaskEnv

SAME_OBSERVATION = 0.02  # m, or a share of a quaternion's length
SAME_PICTURE = 30.0  # mean difference, in 255: other lights and textures pass, another view does not
TURNED = 0.5  # at most this share of the difference is left when a picture that is upside down is turned
TRIED = 8  # control steps
MOVED_M = 0.005  # fingers that have moved
DRIFT_RAD, DRIFT_SHARE = 0.03, 0.25  # how far the arm's joints may be from the recorded ones: this, or this share of the way they went


class Mismatch(Exception):
    """Why the demonstrations are not those of an environment here."""


class Matched:
    """A source (see `envs.demos.formats.Source`) with its demonstrations of others matched to their task, where that can be.

    notes: what had to be changed, and why others could not be matched, with how often.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.path, self.name, self.header = source, source.path, source.name, source.header
        self.notes: Counter[str] = Counter()
        self._envs: dict[str, TaskEnv | str] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Matched:
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def __len__(self) -> int:
        return len(self.source)

    def episode(self, index: int) -> Episode:
        episode = self.source.episode(index)
        attrs = episode.attrs
        if attrs["task_version"] != UNKNOWN or not {"origin", "no_environment"} & set(attrs):
            return episode
        try:
            if attrs["task"] == UNKNOWN:
                raise Mismatch("the file names no task that is known here; give task=… if it is one")
            if "no_environment" in attrs:
                raise Mismatch(attrs["no_environment"])
            return self._matched(f"{self.path}: {self.name(index)}", episode)
        except Mismatch as reason:
            self.notes[f"no environment here fits these demonstrations, so eval.run cannot score what is learnt from them: {reason}"] += 1
            return replace(episode, attrs=attrs | {"no_environment": str(reason)})

    def _matched(self, where: str, episode: Episode) -> Episode:
        env, attrs = self._env(episode.attrs), episode.attrs
        found = (episode.actions.shape[1], episode.states.shape[1])
        if found != (env.action_dim, len(env.get_state())):
            raise Mismatch(f"{found[0]} actions and states of {found[1]} numbers, {env.task} has {env.action_dim} and {len(env.get_state())}")
        check_observations(env, episode)
        frames = episode.frames
        if frames is not None and is_upside_down(env, episode):
            self.notes["the pictures were upside down, as robosuite itself returns them, and have been turned"] += 1
            frames = np.ascontiguousarray(frames[:, :, ::-1])
        check_actions(env, episode, where)
        proprio = []
        for state in episode.states:
            env.set_state(state)
            proprio.append(env.proprio())
        instruction = env.instruction if attrs.pop("instruction_is_missing", False) else episode.instruction
        told = {"task_version": env.task_version, "rendering": env.rendering, "proprio": None}  # which names no observations of the file: it is the task's
        return replace(episode, frames=frames, proprio=np.stack(proprio), instruction=instruction, attrs=attrs | told)

    def _env(self, attrs: dict[str, Any]) -> TaskEnv:
        """The environment that demonstrations of these settings want. Raises Mismatch if there is none."""
        import envs

        options = {"size": attrs["size"], "frame_gap": attrs["frame_gap"], "cameras": list(attrs["cameras"]), "origin": attrs["origin"]}
        key = json.dumps([attrs["task"], options], sort_keys=True)
        if key not in self._envs:
            try:
                env = envs.make(attrs["task"], rendering="exact", **options)
                self._open.callback(env.close)
                env.reset(seed=0)
                self._envs[key] = env
            except (BadInput, ImportError) as error:
                self._envs[key] = str(error)
        env = self._envs[key]
        if isinstance(env, str):
            raise Mismatch(env)
        if not env.has_joints:
            raise Mismatch(f"{env.task} cannot be put into a recorded state")
        return env


def observed(env: TaskEnv, names: list[str]) -> dict[str, np.ndarray]:
    """robosuite's own observables of the present state, those of `names` that there are."""
    cache: dict[str, Any] = {}
    there = env.simulation._observables
    return {name: np.atleast_1d(np.array(there[name]._sensor(cache), np.float64)) for name in names if name in there}


def check_observations(env: TaskEnv, episode: Episode) -> None:
    """Raises Mismatch unless the environment shows the robot's state as the file has it, at the first, the middle and the last step."""
    names = episode.attrs["proprio"]
    for step in sorted({0, len(episode) // 2, len(episode) - 1}):
        env.set_state(episode.states[step])
        shown, start = observed(env, names), 0
        for name in names:
            if name not in shown:
                return  # whose numbers these are is not known from here on
            recorded, own = episode.proprio[step, start : start + len(shown[name])], shown[name]
            start += len(own)
            if len(recorded) != len(own):
                raise Mismatch(f"{name} has {len(recorded)} numbers, {env.task} shows {len(own)}")
            gap = min(np.abs(recorded - own).max(), np.abs(recorded + own).max() if "quat" in name else np.inf)  # q and -q are one turn
            if gap > SAME_OBSERVATION:
                raise Mismatch(f"at the same state {name} is {gap:.2g} off what {env.task} shows: another robot, scene or version")


def is_upside_down(env: TaskEnv, episode: Episode) -> bool:
    """Whether the file's pictures are those of the environment turned over. Raises Mismatch if they are neither these nor those."""
    assert episode.frames is not None
    env.set_state(episode.states[0])
    drawn, frames = env.camera_frames().astype(np.float32), episode.frames[0].astype(np.float32)  # (c, h, w, 3)
    upright, turned = (np.abs(drawn - other).mean(axis=(1, 2, 3)) for other in (frames, frames[:, ::-1]))  # (c,)
    is_turned = bool(turned.sum() < TURNED * upright.sum())
    gaps = turned if is_turned else upright
    if gaps.max() > SAME_PICTURE:
        camera = env.cameras[int(gaps.argmax())]
        raise Mismatch(f"at the same state {camera} shows something else than in {env.task} (mean difference {gaps.max():.0f} of 255)")
    return is_turned


def check_actions(env: TaskEnv, episode: Episode, where: str) -> None:
    """Raises BadInput if the recorded actions do not lead arm and fingers where the recorded states go: they mean something else.

    The arm is looked at where the actions ask for most, the fingers at the start, where no earlier command has a part in what they do.
    """
    span = min(TRIED, len(episode) - 1)
    if span < 1:
        return
    robots = env.simulation.robots
    joints = np.concatenate([robot._ref_joint_pos_indexes for robot in robots])
    first = int(np.convolve(np.abs(episode.actions[:-1]).mean(axis=1), np.ones(span), "valid").argmax())
    before, recorded, reached, steps = played(env, episode, first, span, joints)
    drift, way = float(np.abs(reached - recorded).max()), float(np.abs(recorded - before).max())
    if drift > max(DRIFT_RAD, DRIFT_SHARE * way):
        raise BadInput(
            f"{where}: its actions do not lead where its states go: played from step {first} on, the arm is {drift:.2f} rad beside them after "
            f"{counted(steps, 'step')} (of a way of {way:.2f}); another controller than env_args say ({episode.attrs['control']})"
        )
    fingers = [index for robot in robots for arm in robot.arms for index in robot._ref_gripper_joint_pos_indexes.get(arm) or []]
    before, recorded, reached, _ = played(env, episode, 0, span, np.array(fingers, int))
    if fingers and np.abs(went := recorded - before).max() > MOVED_M and float(went @ (reached - before)) < 0:
        raise BadInput(f"{where}: its gripper closes where {env.task} opens: the gripper's number has the other sign, or is not the last one")


def played(env: TaskEnv, episode: Episode, first: int, span: int, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Positions of joints before the actions from step `first`, recorded after them, reached after them; and how many steps that were."""
    env.set_state(episode.states[first])
    *_, steps = env.step_chunk(episode.actions[first : first + span])  # up to a success
    before, recorded, reached = (state[1:][joints] for state in (episode.states[first], episode.states[first + steps], env.get_state()))
    return before, recorded, reached, steps
