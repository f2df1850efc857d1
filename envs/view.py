"""`python -m envs.view task=pick_at_xy policy=expert`: runs a task and writes a video, with a line for each episode.

The video shows the scene and, beside it, the policy's own pictures. It needs no screen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from envs.catalogue import check_version, told_version
from envs.experts import DeafExpert, RandomPolicy, ZeroPolicy, check_deaf, check_expert, expert_class
from envs.motion import motion_of, told
from envs.options import Expert, Latency, Motion, Noise, Pixels, Rendering, Speed, Split, Task, Version
from envs.video import VideoFile
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import path_name
from whatwhere.kinds import OneOf, OutputFile, Range, Seed
from whatwhere.options import options

if TYPE_CHECKING:
    from envs.base import TaskEnv
    from envs.experts import Expert as Actor

POLICIES = ("expert", "zero", "random", "deaf")
ENCODING = ("-crf", "25")  # H.264's quality


@options
class Settings:
    """What `envs/conf/view.yaml` describes. Raises BadInput for values that cannot be."""

    task: Task
    policy: Annotated[str, OneOf(POLICIES)]
    episodes: Annotated[int, Range(1, 100_000)]
    seed: Seed
    noise: Noise
    rendering: Rendering
    size: Pixels
    out: OutputFile | None
    expert: Expert | None = None
    version: Version = 0
    split: Split | None = None
    latency: Latency = 0
    action_latency: Latency = 0
    motion: Motion | None = None
    speed: Speed | None = None

    def __post_init__(self) -> None:
        if self.policy == "expert":
            check_expert(self.task, self.expert)
        check_version(self.task, self.version, self.split)
        motion_of(self.task, self.motion, self.speed, self.version)
        check_deaf(self.policy, self.version)
        if self.path.suffix != ".mp4":
            raise BadInput(f"out={self.out}: needs a name that ends in .mp4")

    @property
    def path(self) -> Path:
        task = "-".join(filter(None, (path_name(self.task), told_version(self.version, self.split))))
        name = f"{task}-{self.policy}-seed{self.seed}" + (f"-noise{self.noise:g}" if self.noise else "")
        name += "".join(f"-{option}{value}" for option in ("latency", "action_latency") if (value := getattr(self, option)))
        name += f"-{path_name(told(moves))}" if (moves := motion_of(self.task, self.motion, self.speed)) else ""
        return Path(self.out or f"outputs/view/{name}.mp4")


def main(settings: Settings) -> None:
    """Plays the episodes and writes the video."""
    check_writable("out", settings.path.parent)
    import envs

    names = ("rendering", "size", "version", "split", "latency", "action_latency", "motion", "speed")
    env = envs.make(settings.task, **{name: getattr(settings, name) for name in names})
    try:
        record(env, make_policy(settings, env), settings)
    finally:
        env.close()
    print(f"{settings.path}: {env.control_hz} frames a second")


def record(env: TaskEnv, policy: Actor, settings: Settings) -> None:
    """The video, and a line for each episode."""
    with contextlib.ExitStack() as open_files:
        video: VideoFile | None = None
        for episode in range(settings.episodes):
            pictures = 0
            for picture, info in play(env, policy, settings.seed, episode):  # noqa: B007
                height, width = picture.shape[:2]
                video = video or open_files.enter_context(VideoFile(settings.path, height, width, env.control_hz, ENCODING))
                video.write(picture)
                pictures += 1
            print(line(episode, pictures - 1, info) + (f" · “{env.instruction}”" if env.split else ""), flush=True)


def make_policy(settings: Settings, env: TaskEnv) -> Actor:
    action_dim, rng = env.action_dim, np.random.default_rng(settings.seed)
    if settings.policy == "deaf":
        return DeafExpert(expert_class(settings.task)(noise=settings.noise, rng=rng), settings.task, rng)
    if settings.policy == "expert":
        return expert_class(settings.task, settings.expert)(noise=settings.noise, rng=rng)
    return ZeroPolicy(action_dim) if settings.policy == "zero" else RandomPolicy(action_dim, rng)


def play(env: TaskEnv, policy: Actor, seed: int, episode: int) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """One episode: a picture (480, w, 3) and the info of the reset and of each step."""
    observation, info = env.reset(seed=seed, options={"episode": episode})
    policy.reset()
    done = False
    yield side_by_side(env.render(), observation["frames"][:, 1]), info
    while not done:
        action = policy.perturb(policy.act(info))
        observation, _, terminated, truncated, info = env.step(action)
        done = terminated or truncated
        yield side_by_side(env.render(), observation["frames"][:, 1]), info


def side_by_side(scene: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The scene (h, w, 3) with the policy's pictures (c, s, s, 3), enlarged, in a column at its right."""
    edge = scene.shape[0] // len(frames)
    nearest = np.arange(edge) * frames.shape[1] // edge
    column = np.zeros((scene.shape[0], edge + edge % 2, 3), np.uint8)  # video codecs want even sizes
    for index, frame in enumerate(frames):
        column[index * edge : (index + 1) * edge, :edge] = frame[nearest][:, nearest]
    return np.concatenate([scene, column], axis=1)


def line(episode: int, steps: int, info: dict[str, Any]) -> str:
    outcome = "success" if info["success"] else info["failure"] or "out of time"
    relation = f" · relation {'correct' if info['is_relation_correct'] else 'wrong'}" if "is_relation_correct" in info else ""
    error = "none" if info["position_error_cm"] is None else f"{info['position_error_cm']:.2f} cm"
    return f"episode {episode} · {outcome} · {counted(steps, 'step')} · position error {error}{relation} · start {info['init_hash']}"


if __name__ == "__main__":
    command("envs.conf", "view", Settings, main)
