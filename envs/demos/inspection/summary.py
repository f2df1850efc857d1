"""What one demonstration looks like in numbers, and a few of its pictures; the arrays themselves are let go of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.demos.episodes import Episode

BINS = 20
STILL = 0.02  # an action below this share of its range, the gripper's left aside, asks for nothing
FULL = 0.999


@dataclass(frozen=True)
class Summary:
    """One demonstration. Spans are (first step, steps)."""

    name: str
    steps: int
    success: bool
    instruction: str
    settings: dict[str, Any]  # without the model's text
    histogram: np.ndarray  # (a, BINS): how often each action lies where in [-1, 1]
    is_binary: np.ndarray  # (a,): nothing but -1, 0 and 1 was used, as of a gripper
    saturated: np.ndarray  # (a,): share of steps at the end of the range
    idle: tuple[int, int] | None  # the longest span in which nothing was asked for
    frozen: dict[str, tuple[int, int]]  # by camera: the longest span of equal pictures while the robot was commanded to move
    first_state: np.ndarray  # (n,)
    sheet: np.ndarray  # (cameras, pictures, h, w, 3)


def summarise(name: str, episode: Episode, num_pictures: int) -> Summary:
    actions, frames = episode.actions, episode.frames
    assert frames is not None
    sent = actions if episode.executed_actions is None else episode.executed_actions
    is_binary = np.isin(actions, (-1, 0, 1)).all(0) & (np.abs(actions) == 1).any(0)
    moving = sent if is_binary.all() else sent[:, ~is_binary]
    still = (np.abs(moving) < STILL).all(1)
    still[1:] &= (actions[1:, is_binary] == actions[:-1, is_binary]).all(1)  # a gripper that opens or closes is not idle
    same = (frames[1:] == frames[:-1]).all(axis=(2, 3, 4)) & ~still[:-1, None]  # (t - 1, c)
    frozen = {camera: span for i, camera in enumerate(episode.attrs["cameras"]) if (span := longest(same[:, i]))}
    chosen = np.unique(np.linspace(0, len(frames) - 1, num_pictures).round().astype(int))
    return Summary(
        name=name,
        steps=len(actions),
        success=episode.success,
        instruction=episode.instruction,
        settings={key: value for key, value in episode.attrs.items() if key != "model_file"},
        histogram=np.stack([np.histogram(column, BINS, (-1, 1))[0] for column in actions.T]),
        is_binary=is_binary,
        saturated=(np.abs(actions) >= FULL).mean(0),
        idle=longest(still),
        frozen=frozen,
        first_state=episode.states[0].copy(),
        sheet=np.moveaxis(frames[chosen], 1, 0).copy(),
    )


def longest(flags: np.ndarray) -> tuple[int, int] | None:
    """(first, length) of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    if not len(edges):
        return None
    lengths = edges[1::2] - edges[::2]
    return int(edges[::2][lengths.argmax()]), int(lengths.max())
