"""What a worker is told, in plain values, and how it plays an episode: environment, policy and subscribers are made here."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from eval.observers import Observer
from eval.observers.fallback import FallbackObserver
from eval.observers.freeze import FreezeObserver
from eval.observers.shares import SharesObserver
from eval.playing import policies
from eval.playing.faults import Faulty, parsed
from eval.playing.rollout_policy import RolloutPolicy
from eval.playing.said import Said
from eval.results import CONDITIONS, ROW_KEYS
from eval.rollout import rollout
from whatwhere.errors import BadInput
from whatwhere.files import inside

Row = dict[str, Any]
QUERIES = ("own", "batched")  # each worker has a policy of its own, or one process answers all (eval.playing.batched)
TRAINING_START = "training_start"  # what `allow` calls playing a start that the policy was trained on


@dataclass(frozen=True)
class Player:
    """One evaluation. Calling it makes environment and policy (once in each worker) and yields `play(episode, tell) -> row`."""

    task: str
    policy: str  # one of eval.playing.policies.POLICIES
    seed: int
    device: str = "cpu"
    folder: str = ""  # of the checkpoint
    checkpoint: str | None = None  # its name in rows
    sha256: str | None = None  # of its weights
    encoder: str | None = None
    head: str | None = None  # it and the next two: where they are not policy.choices.USUAL
    language: str | None = None
    join: str | None = None
    execute: int | None = None  # actions carried out between two queries
    inference: str = "auto"  # how its answers are computed (policy.inference)
    queries: str = "own"  # one of QUERIES: by whom
    exported: str | None = None  # what rows call the exported file that computes them
    train_seed: int | None = None
    num_demos: int | None = None  # it was trained on
    corrections: int | None = None  # episodes among those it learnt from in which an earlier policy acted and the expert corrected it (eval.correct)
    multiplied_from: int | None = None  # of how many recorded ones those were made; None: they were recorded themselves
    streams: str | None = None  # that it looks through
    task_version: str | None = None  # what it was trained on
    trained_on: frozenset[str] = frozenset()  # hashes of the starts that are refused
    rendering: str = "fast"
    perturbation: str | None = None
    version: int = 0  # of the task
    split: str | None = None  # which things and sentences there are, in version 1
    latency: int | None = None  # control steps by which pictures are late, where they are
    action_latency: int | None = None  # by which actions are carried out late
    trained_for: str | None = None  # the latencies of its training, where those of the evaluation are others
    history: str | None = None  # what the policy is told of the robot since (policy.history)
    fusion: str | None = None  # of both streams, where it is not the usual one
    memory: int | None = None  # moments that it remembers (policy.memory), where it remembers
    streams_used: str | None = None  # where it is not both
    without: str | None = None  # the stream that is taken away
    motion: str | None = None  # what moves by itself
    speed: tuple[float, float] | None = None  # cm/s, from … to
    said: str | None = None  # what it is told instead of the instruction (eval.playing.said)
    trained_motion: str | None = None  # what moved in its training, where that was something else
    actions_from: str | None = None  # of policies with a planner: whose actions the model under it learnt from
    goal: str | None = None  # picture, video or a folder of pictures: what an inverse model is to bring about (eval.playing.towards)
    decoder: str | None = None  # draws what it wants, in videos (eval.goals.desire); demos, inverse: what is drawn of a planner
    demos: str | None = None
    inverse: str | None = None
    size: int = 96
    frame_gap: int = 4
    cameras: tuple[str, ...] | None = None
    origin: dict[str, Any] | None = None  # envs.foreign.origin
    out: str = ""
    video: int | str = 0  # the first so many episodes, or "failures"
    first: int = 0
    expert: str | None = None  # module:Class
    trajectories: bool = False
    fallback: str | None = None  # what it does when a camera fails, if anything
    fault: str | None = None  # what is made to fail (eval.playing.faults)
    influence: bool = False  # whether videos show how much each stream moves the action

    @contextlib.contextmanager
    def __call__(self, link: Connection | None = None) -> Iterator[Callable[[int, Callable[..., None]], Row]]:
        """`link`: to the process that holds the policy, where queries=batched."""
        with self.made() if link is None else self.beside(link) as (env, policy):
            yield self._play(env, policy)

    @contextlib.contextmanager
    def made(self) -> Iterator[tuple[Any, RolloutPolicy]]:
        """Environment and policy. Raises BadInput where a policy was trained on another version of the task."""
        import torch

        torch.set_num_threads(1)
        # before the simulator: bad weights are refused at once
        policy = self.learned() if self.policy == "learned" else None
        if policy is not None and self.decoder is not None:
            from policy.probing.wish import Wish

            policy.wish = Wish(policy.agent, self.decoder, self.demos, None if self.inverse is None else Path(self.inverse))
        with self.checked() as env:
            if policy is not None and self.goal is not None:
                from eval.playing.towards import Towards

                policy = Towards(policy.agent, env, self.goal, self.expert, policy.wish)
            yield env, policy or policies.scripted(self.policy, self.task, math.prod(env.action_space.shape or ()), self.expert)

    @contextlib.contextmanager
    def beside(self, link: Connection) -> Iterator[tuple[Any, RolloutPolicy]]:
        """As `made`, where the policy is in another process."""
        from eval.playing.asking import Asking

        with self.checked() as env:
            yield env, Asking(link)

    @contextlib.contextmanager
    def checked(self) -> Iterator[Any]:
        """The environment. Raises BadInput where the policy was trained on another version of the task."""
        with contextlib.closing(self.environment()) as env:
            if self.task_version is not None and env.task_version != self.task_version:
                raise BadInput(f"checkpoint={self.checkpoint}: trained on version {self.task_version} of {self.task}, this is version {env.task_version}")
            yield env

    def learned(self) -> policies.Learned:
        """The checkpoint's agent. Raises BadInput for a bad one."""
        return policies.learned(self.folder, self.device, self.execute, self.inference, self.without, self.goal is not None, self.fallback or "none")

    def environment(self, **other: Any) -> Any:
        """A new environment for it; `other` replaces arguments of `envs.make`."""
        import envs

        options: dict[str, Any] = {"rendering": self.rendering, "size": self.size, "frame_gap": self.frame_gap, "cameras": self.cameras}
        options |= {"latency": self.latency or 0, "action_latency": self.action_latency or 0, "version": self.version, "split": self.split}
        options |= {"motion": self.motion, "speed": self.speed, "perturbation": self.perturbation, "origin": self.origin}
        env = envs.make(self.task, **options | other)
        return env if self.said is None else Said(env, self.said)

    def _play(self, env: Any, policy: RolloutPolicy) -> Callable[[int, Callable[..., None]], Row]:
        def play(episode: int, tell: Callable[..., None]) -> Row:
            observers: list[Observer] = [StartCheck(self.trained_on), Signs(tell), FreezeObserver()]
            observers += [FallbackObserver()] if self.fallback else []
            observers += [SharesObserver()] if self.influence and self.wants_video(episode) else []
            if self.trajectories:
                from eval.observers.trajectory import TrajectoryObserver

                observers.append(TrajectoryObserver(self.out))
            if self.wants_video(episode):
                from eval.observers.video import VideoObserver

                observers.append(VideoObserver(self.out, self.title, "failures" if self.video == "failures" else "all", self.influence))
            played = Faulty(env, *parsed(self.fault)) if self.fault else env
            return self.row(rollout(played, policy, self.seed, episode, observers) | policy.computed())

        return play

    @property
    def title(self) -> str:
        """Who acts, for videos."""
        return f"{self.encoder or self.policy}{f' without {self.without.upper()}' if self.without else ''}"

    def wants_video(self, episode: int) -> bool:
        return self.video == "failures" or (isinstance(self.video, int) and episode < self.first + self.video)

    def row(self, facts: Row) -> Row:
        """The row of `facts`, in the order of `ROW_KEYS`, then what subscribers added."""
        mine: Row = {"policy": self.policy, "encoder": self.encoder, "checkpoint": self.checkpoint, "train_seed": self.train_seed}
        mine |= {name: getattr(self, name) for name in CONDITIONS if getattr(self, name) is not None}
        row = dict.fromkeys(ROW_KEYS) | facts | mine
        return {key: row[key] for key in (*ROW_KEYS, *(key for key in row if key not in ROW_KEYS))}

    def lost(self, episode: int, reason: str, known: Row) -> Row:
        """The row of an episode that killed its workers: a failure with its reason, and what was known of its start."""
        facts = {"task": self.task, "seed": self.seed, "episode": episode, "success": False, "failure": reason, "steps": 0, "wall_s": 0.0, "freezes": None}
        return self.row(known | facts)

    def is_lost(self, row: Row) -> bool:
        """Whether a row is one of `lost`."""
        return str(row.get("failure")).startswith("worker_")

    def is_done(self, row: Row) -> bool:
        """Whether an episode with this row need not be played (again): it need if it lacks a video (that opens) or a trajectory that is asked for."""
        wanted = self.wants_video(row["episode"]) and not (self.video == "failures" and row["success"])
        is_lost = self.is_lost(row)
        if self.trajectories and not is_lost and not (row.get("trajectory") and inside(self.out, row["trajectory"]).is_file()):
            return False
        if is_lost or not wanted:
            return True
        from envs.video import num_frames  # gymnasium comes with `envs`: a quarter of what the command takes to start

        return row.get("video") is not None and num_frames(inside(self.out, row["video"])) > 0


class StartCheck(Observer):
    """Refuses a start that the policy was trained on."""

    def __init__(self, trained_on: frozenset[str]) -> None:
        self.trained_on = trained_on

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: Row) -> None:
        if row["init_hash"] in self.trained_on:
            raise BadInput(
                f"seed={row['seed']}: the start of episode {row['episode']} ({row['init_hash']}) is one the policy was trained on; "
                f"choose another seed=, or allow=[{TRAINING_START}] to look at it all the same"
            )


class Signs(Observer):
    """Signs of life for the parent, and what a lost episode's row should have."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self.tell = tell

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: Row) -> None:
        self.tell(dict(row))

    def query(self, env: Any, policy: Any, obs: dict[str, Any], actions: np.ndarray) -> None:
        self.tell()

    def step(self, env: Any, action: np.ndarray, info: dict[str, Any]) -> None:
        self.tell()
