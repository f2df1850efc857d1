"""`python -m tests.eval.fake_run key=value …`: `eval.run` as it is, but that its workers play fake episodes: the whole command in two seconds."""

from __future__ import annotations

import functools
import os
from typing import Any

from eval import run
from eval.playing import workers
from eval.playing.settings import Settings
from tests.eval.eval_fakes import build
from whatwhere.command import command


def play_all(episodes: Any, player: Any, *rest: Any, **more: Any) -> None:
    pids = os.environ.get("FAKE_PIDS")
    told = {"marker": pids, "out": player.out, "video": player.video, "task": player.task}
    workers.play_all(episodes, functools.partial(build, **told, delay=float(os.environ.get("FAKE_DELAY", "0"))), *rest, **more)


if __name__ == "__main__":
    run.play_all = play_all
    command("eval.conf", "run", Settings, run.main)
