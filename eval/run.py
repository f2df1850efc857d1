"""Runs a policy in MuJoCo, scores it, and records video: rows in `episodes.jsonl`, their score in `results.json`, tables as CSV and LaTeX.

Run the same command again to resume after an interruption.
"""

from __future__ import annotations

import math
import shlex
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from eval import results
from eval.playing.batched import PolicyProcess
from eval.playing.identity import identity
from eval.playing.player import Player, Row
from eval.playing.prepare import prepare
from eval.playing.progress import Progress, duration
from eval.playing.settings import Settings
from eval.playing.workers import play_all
from eval.reports import tables
from eval.reports.entries import collect
from eval.reports.evaluations import make_table
from whatwhere.command import command
from whatwhere.cores import usable_cores
from whatwhere.counted import counted
from whatwhere.disk import check_writable, why_not_writable
from whatwhere.files import clear_leftovers
from whatwhere.owned import claim, owned
from whatwhere.pieces import spelled
from whatwhere.versions import stamp

WORTH_A_START = 4  # episodes that take as long as a process takes to start
MOST = 16  # processes, unless more are asked for: each needs about 1 GB of memory


def main(settings: Settings) -> None:
    player = prepare(settings)
    began = time.monotonic()
    with owned(player.out):
        claim(player.out, {"kind": "evaluation"} | identity(settings, player))
        player = as_before(player)
        todo = missing(settings, player)
        num_envs = processes(settings.num_envs, len(todo))
        on = f" · {counted(num_envs, 'process', 'processes')} on {counted(usable_cores(), 'core')}, ready in some seconds" if todo else ""
        print(
            f"{player.task} · {player.encoder or player.policy} · {counted(settings.episodes, 'episode')} of seed {player.seed}{on} → {player.out}", flush=True
        )
        if len(todo) < settings.episodes:
            print(f"{settings.episodes - len(todo)} of them are there already", flush=True)
        if todo:
            check_writable("out", player.out)
            play(settings, player, todo, num_envs)
        if why_not_writable(player.out) is None:
            score = results.finish(player.out, about(settings, player), episodes(settings))
            tables.write(make_table(collect([player.out])), player.out)
        else:  # a whole evaluation that can only be read
            score = results.load(player.out)[1]
    print(results.table(score))
    print(f"  {counted(len(todo), 'episode')} in {duration(time.monotonic() - began)}; rows, tables and videos are in {player.out}")
    print(results.last_line(score))


def as_before(player: Player) -> Player:
    """Rows of one folder are computed in one way: what is there decides where nothing was asked for. (Those of earlier versions do not say: plain.)"""
    there = [row.get("inference") or "plain" for row in results.load_rows(player.out) if not player.is_lost(row)]
    return replace(player, inference=there[0]) if there and player.policy == "learned" and player.inference == "auto" else player


def missing(settings: Settings, player: Player) -> list[int]:
    """The episodes that are still to be played."""
    done = {row["episode"] for row in results.load_rows(player.out) if player.is_done(row)}
    return [episode for episode in episodes(settings) if episode not in done]


def episodes(settings: Settings) -> range:
    return range(settings.first, settings.first + settings.episodes)


def processes(asked: int | None, todo: int) -> int:
    """How many processes play `todo` episodes: as asked, else one for each core that gets enough of them."""
    return asked or min(usable_cores(), MOST, math.ceil(todo / WORTH_A_START))


def play(settings: Settings, player: Player, todo: list[int], num_envs: int) -> None:
    """Plays episodes on `num_envs` processes and writes each row as it comes."""
    for name in ("videos", "trajectories"):
        clear_leftovers(Path(player.out) / name)
    progress = Progress(len(todo), results.load_rows(player.out), num_envs)

    def on_row(row: Row) -> None:
        results.add_row(player.out, row)
        progress.show(row)

    policy = PolicyProcess(player.learned) if player.queries == "batched" else None
    play_all(todo, player, num_envs, on_row, player.lost, settings.timeout_s, policy=policy)


def about(settings: Settings, player: Player) -> dict[str, Any]:
    """What `results.json` says beside the score. The command names every setting, so that it means the same when defaults change."""
    chosen = [(field.name, getattr(settings, field.name)) for field in fields(settings)]
    words = [shlex.quote(spelled(name, value)) for name, value in chosen if value is not None]
    keys = ("task", "policy", "encoder", "checkpoint", "sha256", "train_seed", *results.CONDITIONS, "execute", "seed")
    return {key: getattr(player, key) for key in keys} | {"versions": stamp(), "command": " ".join(["python -m eval.run", *words])}


if __name__ == "__main__":
    command("eval.conf", "run", Settings, main)
