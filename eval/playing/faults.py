"""Cameras and instructions that fail from some control step on, to see what a policy does then (docs/fallbacks.md). The simulation goes on as ever."""

from __future__ import annotations

from typing import Any

import numpy as np

OF_CAMERAS = ("black", "frozen", "nan", "missing")
REFUSED = ("nan", "missing")  # by a policy that watches for nothing
FAULTS = (*OF_CAMERAS, "no_words", "strange_words")
STRANGE = "xyzzy plugh"  # words of no training


def told(kind: str, start: int, camera: str | None) -> str:
    """As rows say it: `black agentview from 10`."""
    return f"{kind}{f' {camera}' if camera else ''} from {start}"


def parsed(text: str) -> tuple[str, int, str | None]:
    """Kind, first control step and camera, of what `told` says."""
    first, _, start = text.rpartition(" from ")
    kind, _, camera = first.partition(" ")
    return kind, int(start), camera or None


class Faulty:
    """`env` with observations in which something fails from control step `start` on; for the earlier frame of a pair that counts, too."""

    def __init__(self, env: Any, kind: str, start: int, camera: str | None) -> None:
        self.env, self.kind, self.start = env, kind, start
        self.camera = None if camera is None else env.cameras.index(camera)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        obs, info = self.env.reset(**options)
        self.steps, self.last = 0, None
        return self._spoilt(obs), info

    def step_chunk(self, actions: Any, on_step: Any = None) -> tuple[Any, ...]:
        obs, reward, terminated, truncated, info, executed = self.env.step_chunk(actions, on_step=on_step)
        self.steps += executed
        return self._spoilt(obs), reward, terminated, truncated, info, executed

    def _spoilt(self, obs: dict[str, Any]) -> dict[str, Any]:
        if self.steps < self.start:
            return obs
        if self.camera is None:
            return obs | {"instruction": "" if self.kind == "no_words" else STRANGE}
        frames, which = obs["frames"].copy(), [self.steps - getattr(self.env, "frame_gap", 0) >= self.start, True]
        if self.kind == "missing":
            return obs | {"frames": {name: pair for index, (name, pair) in enumerate(zip(self.env.cameras, frames, strict=True)) if index != self.camera}}
        if self.kind == "frozen":
            self.last = frames[self.camera, 1].copy() if self.last is None else self.last
        if self.kind == "nan":
            frames = frames.astype(np.float32)
        frames[self.camera, which] = {"black": 0, "nan": np.nan}.get(self.kind, self.last)
        return obs | {"frames": frames}
