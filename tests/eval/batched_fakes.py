"""An evaluation of a real policy in a made-up environment, for `queries=`; importable in spawned processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.playing.batched import PolicyProcess
from eval.playing.player import Player
from eval.playing.workers import play_all
from tests.eval.eval_fakes import FakeEnv, once


class Fragile(FakeEnv):
    """Kills its process at the third control step of episode `kill`, once; a step takes `delay_s`."""

    def __init__(self, kill: int | None, marker: str, delay_s: float) -> None:
        self.kill, self.marker, self.delay_s = kill, marker, delay_s

    def reset(self, *, seed: int, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        self.episode = options["episode"]
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        time.sleep(self.delay_s)
        if self.steps == 3 and self.episode == self.kill and once(self.marker):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


@dataclass(frozen=True)
class FakePlayer(Player):
    """Rows also say whether the worker imported torch."""

    kill: int | None = None
    marker: str = ""
    delay_s: float = 0.0

    def environment(self, **other: Any) -> Any:
        return Fragile(self.kill, self.marker, self.delay_s)

    def row(self, facts: dict[str, Any]) -> dict[str, Any]:
        return super().row(facts) | {"torch": "torch" in sys.modules}


def play(player: FakePlayer, episodes: range, num_envs: int, on_row: Any, timeout_s: float = 120.0, policy: PolicyProcess | None = None) -> None:
    """All episodes, by one process with the policy."""
    play_all(episodes, player, num_envs, on_row, player.lost, timeout_s, policy=policy or PolicyProcess(player.learned))


def play_for_ever(player: FakePlayer) -> None:
    play(player, range(1000), 2, lambda row: Path(player.marker).touch())
