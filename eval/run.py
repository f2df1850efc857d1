"""Rolls a policy out in MuJoCo, scores it, and records video: rows in `episodes.jsonl`, their score in `results.json`, tables as CSV and LaTeX.

The same command carries on where an interrupted one stopped.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from eval import results
from eval.playing.player import TRAINING_START, Player, Row
from eval.playing.policies import POLICIES
from eval.playing.prepare import identity, prepare
from eval.playing.progress import Progress, duration
from eval.playing.workers import play_all
from eval.report import collect, make_table
from eval.reports import tables
from whatwhere.command import command
from whatwhere.errors import BadInput, choose, positive
from whatwhere.files import claim, owned
from whatwhere.versions import stamp

SEED_LIMIT = 2**31
ALLOWED = ("rendering", TRAINING_START)


@dataclass(frozen=True)
class Settings:
    task: str
    encoder: str | None
    checkpoint: str | None
    policy: str
    execute: int | None
    episodes: int
    first: int
    seed: int
    num_envs: int
    video: int | str
    trajectories: bool
    out: str | None
    device: str
    rendering: str | None
    perturbation: str | None
    size: int | None
    timeout_s: float
    allow: list[str] | None
    expert: str | None = None

    def __post_init__(self) -> None:
        from envs import PERTURBATIONS, check_task
        from envs.experts import check_expert
        from policy.encoders import ENCODERS

        check_task(self.task)
        choose("policy", self.policy, POLICIES)
        if self.policy == "expert":
            check_expert(self.task, self.expert)
        if self.encoder is not None:
            choose("encoder", self.encoder, ENCODERS)
        if self.policy != "learned" and self.checkpoint is not None:
            raise BadInput(f"checkpoint={self.checkpoint}: policy={self.policy} has none; leave it out or use policy=learned")
        if self.policy != "learned" and self.execute is not None:
            raise BadInput(f"execute={self.execute}: policy={self.policy} predicts no chunks; leave it out or use policy=learned")
        for name, least in (("episodes", 1), ("execute", 1), ("num_envs", 1), ("first", 0), ("seed", 0), ("timeout_s", 1), ("size", 16)):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name), least)
        if self.seed >= SEED_LIMIT:
            raise BadInput(f"seed={self.seed}: must be below {SEED_LIMIT}")
        if self.video != "failures" and not (isinstance(self.video, int) and self.video >= 0):
            raise BadInput(f"video={self.video}: must be a number of episodes (0 for none), or failures")
        if self.rendering is not None:
            choose("rendering", self.rendering, ("fast", "exact"))
        if self.perturbation is not None:
            choose("perturbation", self.perturbation, PERTURBATIONS)
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise BadInput(f"device={self.device}: unknown; valid: auto, cpu, cuda, cuda:0, …")
        for name in self.allow or ():
            choose("allow", name, ALLOWED)


def main(settings: Settings) -> None:
    player = prepare(settings)
    began = time.monotonic()
    with owned(player.out):
        claim(player.out, identity(settings, player))
        todo = missing(settings, player)
        print(f"{player.task} · {player.encoder or player.policy} · {settings.episodes} episodes of seed {player.seed} → {player.out}", flush=True)
        if len(todo) < settings.episodes:
            print(f"{settings.episodes - len(todo)} of them are there already", flush=True)
        play(settings, player, todo)
        score = results.finish(player.out, about(settings, player))
        tables.write(make_table(collect([player.out])), player.out)
    print(results.table(score))
    print(f"  {len(todo)} episodes in {duration(time.monotonic() - began)}; rows, tables and videos are in {player.out}")
    print(results.last_line(score))


def missing(settings: Settings, player: Player) -> list[int]:
    """The episodes that are still to be played."""
    done = {row["episode"] for row in results.load_rows(player.out) if player.is_done(row)}
    return [episode for episode in range(settings.first, settings.first + settings.episodes) if episode not in done]


def play(settings: Settings, player: Player, todo: list[int]) -> None:
    """Plays episodes and writes each row as it comes."""
    for leftover in (Path(player.out) / "videos").glob(".episode_*.mp4"):  # of a killed run
        leftover.unlink()
    progress = Progress(len(todo), results.load_rows(player.out))

    def on_row(row: Row) -> None:
        results.add_row(player.out, row)
        progress.show(row)

    if todo:
        play_all(todo, player, settings.num_envs, on_row, player.lost, settings.timeout_s)


def about(settings: Settings, player: Player) -> dict[str, Any]:
    """What `results.json` says beside the score. The command names every setting, so that it means the same when defaults change."""
    chosen = [(field.name, getattr(settings, field.name)) for field in fields(settings)]
    words = [shlex.quote(f"{name}={'[' + ','.join(value) + ']' if isinstance(value, list) else value}") for name, value in chosen if value is not None]
    keys = ("task", "policy", "encoder", "checkpoint", "sha256", "train_seed", *results.CONDITIONS, "execute", "seed")
    return {key: getattr(player, key) for key in keys} | {"versions": stamp(), "command": " ".join(["python -m eval.run", *words])}


if __name__ == "__main__":
    command("eval.conf", "run", Settings, main)
