"""`python -m eval.correct checkpoint=FOLDER n=25`: records the expert's actions in states that a policy reaches (DAgger).

In each episode the policy acts up to a random step; then the scripted expert acts until it succeeds. The action recorded at each step is
the expert's; the executed one is stored beside it. A policy that is also trained on these episodes learns to recover from its own mistakes.

Ross, Gordon and Bagnell 2011, arXiv 1011.0686; the expert takes over at the end as in Kelly et al. 2019, arXiv 1810.02890.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

import numpy as np

from envs.demos.gather import gather
from envs.demos.starts import Starts
from envs.options import Noise, Task
from envs.seeds import DEMONSTRATIONS
from policy.options import ChunkLength
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import path_name
from whatwhere.kinds import InputPath, OutputFolder, Processes, Range
from whatwhere.options import options
from whatwhere.owned import claim, owned
from whatwhere.settings import parse

if TYPE_CHECKING:
    from envs.demos.episodes import Episode
    from eval.playing.player import Player

PATIENCE = 2  # times the task's horizon is what the two have together


@options
class Settings:
    """What `eval/conf/correct.yaml` describes. Raises BadInput for values that cannot be."""

    task: Task | None
    checkpoint: InputPath | None
    n: Annotated[int, Range(1, 100_000)]
    seed: Annotated[int, Range(0, DEMONSTRATIONS.stop - 1, why="demonstrations take seeds 0–99999; others are for evaluation")]
    longest: Annotated[int, Range(0, 1_000_000)] | None
    noise: Noise
    execute: ChunkLength | None
    num_workers: Processes
    out: OutputFolder | None

    def __post_init__(self) -> None:
        if self.checkpoint is None:
            raise BadInput("checkpoint: missing; give checkpoint=FOLDER")


@dataclass(frozen=True)
class Plan:
    """What is played: who acts, and where the episodes go."""

    player: Player
    settings: Settings
    folder: Path


class Corrector:
    """Plays starts in one environment; every worker process has its own."""

    def __init__(self, plan: Plan) -> None:
        import torch

        from envs.experts import expert_class

        torch.set_num_threads(1)
        self.plan = plan
        self.policy = plan.player.learned()
        self.env = plan.player.environment(latency=0)
        self.expert_class = expert_class(plan.player.task)
        self.longest = self.env.horizon // 2 if plan.settings.longest is None else plan.settings.longest
        self.env.horizon *= PATIENCE

    def close(self) -> None:
        self.env.close()

    def __call__(self, start: int) -> dict[str, Any]:
        """Plays one start; if it succeeds its file is in the folder under a name of the start's own. Returns the row of `starts.jsonl`."""
        from envs.demos.episodes import write_episode

        settings = self.plan.settings
        until = int(np.random.default_rng([crc32(b"until"), settings.seed, start]).integers(0, self.longest + 1))
        expert = self.expert_class(noise=settings.noise, rng=np.random.default_rng([crc32(b"noise"), settings.seed, start]))
        episode, failure = self._play(expert, settings.seed, start, until)
        episode.attrs |= {"source": "corrections", "noise": settings.noise, "corrected": {"sha256": self.plan.player.sha256, "until": until}}
        if episode.success:
            write_episode(Starts.draft(self.plan.folder, start), episode)
        return {"episode": start, "success": episode.success, "failure": failure} | {
            "steps": len(episode),
            "position_error_cm": episode.attrs["position_error_cm"],
            "init_hash": episode.attrs["init_hash"],
        }

    def _play(self, expert: Any, seed: int, start: int, until: int) -> tuple[Episode, str | None]:
        """One episode, in which the policy acts before step `until`, and why it failed (None if it did not)."""
        from envs.demos.episodes import Episode
        from envs.demos.recording import attrs_of

        env = self.env
        observation, info = env.reset(seed=seed, options={"episode": start})
        expert.reset()
        self.policy.reset(seed, start)
        first, rows, planned, done = info, [], deque[np.ndarray](), False
        pictures: list[np.ndarray] = []
        while not done:
            pictures.append(observation["frames"][:, 1])  # (c, h, w, 3)
            action = np.clip(expert.act(info), -1, 1).astype(np.float32)
            if len(rows) < until and not planned:
                planned.extend(self.policy.act(observation | {"frames": self._late(pictures)}, {}))
            executed = planned.popleft() if len(rows) < until else expert.perturb(action)
            executed = np.clip(executed, -1, 1).astype(np.float32)
            rows.append((action, executed, env.get_state(), observation["proprio"]))
            observation, _, terminated, truncated, info = env.step(executed)
            done = terminated or truncated
        actions, executed_actions, states, proprio = (np.stack(column) for column in zip(*rows, strict=True))
        success, error = bool(info["success"]), info["position_error_cm"]
        episode = Episode(actions, states, proprio, np.stack(pictures), success, observation["instruction"], attrs_of(env, first), executed_actions)
        episode.attrs |= {"seed": seed, "episode": start, "position_error_cm": error if error is not None and np.isfinite(error) else None}
        return episode, None if success else info.get("failure") or "horizon"

    def _late(self, pictures: list[np.ndarray]) -> np.ndarray:
        """The pair (c, 2, h, w, 3) that the policy sees, of as long ago as it was trained for; the first picture stands in for those before it."""
        newest = max(len(pictures) - 1 - (self.plan.player.latency or 0), 0)
        return np.stack([pictures[max(newest - self.plan.player.frame_gap, 0)], pictures[newest]], axis=1)


def plan_of(settings: Settings) -> Plan:
    """Who acts, and where what it does goes. Raises BadInput for a policy that cannot be corrected."""
    from eval.playing.prepare import prepare
    from eval.playing.settings import Settings as Run

    words = {"checkpoint": settings.checkpoint, "seed": settings.seed, "episodes": 1, "allow": "[training_start]", "video": 0}
    words |= {name: value for name in ("task", "execute") if (value := getattr(settings, name)) is not None}
    chosen = parse("eval.conf", "run", Run, [f"{key}={value}" for key, value in words.items()])
    player, task = prepare(chosen), chosen.task_name
    if player.action_latency:
        raise BadInput(f"checkpoint={settings.checkpoint}: its actions are carried out late; that is not offered here")
    noise = f"-noise{settings.noise:g}" + (f"-longest{settings.longest}" if settings.longest is not None else "")
    folder = settings.out or f"data/{path_name(task)}/corrections-{str(player.sha256)[:8]}-seed{settings.seed}{noise}"
    return Plan(player, settings, Path(folder))


def main(settings: Settings) -> None:
    plan = plan_of(settings)
    with owned(plan.folder) as folder:
        chosen = {name: getattr(settings, name) for name in ("seed", "longest", "noise", "execute")}
        claim(folder, {"kind": "corrections", "task": plan.player.task, "sha256": plan.player.sha256} | chosen)
        starts = Starts(folder)
        if starts.wanted(settings.n):
            check_writable("out", folder)
            gather(starts, settings.n, settings.num_workers, f"checkpoint={settings.checkpoint}", Corrector, plan)
        failed = sum(not row["success"] for row in starts.rows)
        print(f"{counted(starts.num_files, 'demonstration')} in {folder} · {failed} of {counted(len(starts.rows), 'start')} failed")


if __name__ == "__main__":
    command("eval.conf", "correct", Settings, main)
