"""The mixture of moving and static pairs drawn from footage (spec A2), a pure function of (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from policy.pretrain.crops import cut, draw_box
from policy.pretrain.footage import Footage, Play, is_held_out
from whatwhere.counted import counted
from whatwhere.errors import BadInput


@dataclass(frozen=True)
class Plan:
    """Which frames and which crop make each pair of a batch."""

    source: Int[np.ndarray, " b"]  # clip or image
    first: Int[np.ndarray, " b"]  # frame t
    gap: Int[np.ndarray, " b"]  # k; 0 for a static sample
    box: Int[np.ndarray, "b 4"]  # top, left, height, width of the crop, the same in both frames
    chance: Int[np.ndarray, " b"]  # seeds of what else is drawn of a row

    def __len__(self) -> int:
        return len(self.source)

    def rows(self, which: slice) -> Plan:
        return Plan(self.source[which], self.first[which], self.gap[which], self.box[which], self.chance[which])


class Clips:
    """Draws pairs from footage; `data` is footage, or a folder with `frames.npy`.

    `size`: pixels of the square pictures (null: those of the footage, which must be square); `scale`: range of the crops' share (policy.pretrain.crops);
    `holdout`: share of the clips, chosen by their names, that only validation sees. Raises BadInput where nothing is left to draw from.
    """

    def __init__(self, data: Footage | str | Path, size: int | None = None, scale: tuple[float, float] = (1.0, 1.0), holdout: float = 0.0) -> None:
        self.footage = Play(data) if isinstance(data, str | Path) else data
        self.shapes = np.asarray(self.footage.shapes, dtype=np.int64)  # (sources, t h w)
        if size is None:
            size = int(self.shapes[0, 1])
            if (self.shapes[:, 1:] != size).any():
                raise BadInput("size=null: the pictures are of several sizes or not square; give size=… in pixels")
        self.size, self.scale = size, scale
        apart = np.asarray([is_held_out(name, holdout) for name in self.footage.names], dtype=bool)
        self.training, self.held_out = np.flatnonzero(~apart), np.flatnonzero(apart)
        if not len(self.training):
            raise BadInput(f"holdout={holdout}: all of {counted(len(apart), 'clip')} held out; nothing is left to train on")

    def plan(self, seed: int, step: int, batch: int, static: float, max_gap: int, held_out: bool = False, frames: int = 2) -> Plan:
        """Pairs (t, t+k), k uniform in 1…max_gap (less in a shorter clip); with probability `static`, frame t of any clip or image twice.

        With `frames=3`: t, t+k, t+2k, and frame t three times.

        Moving pairs come from clips in proportion to their length; static ones from all clips and images alike. A pure function of its
        arguments and the footage. Raises BadInput where moving pairs are asked for and there is no clip.
        """
        rng = np.random.default_rng([seed, step, int(held_out)])
        sources = self.held_out if held_out else self.training
        clips = sources[self.shapes[sources, 0] >= frames]
        if static < 1 and not len(clips):
            what, less = (
                ("moving pairs need videos", "images") if frames == 2 else (f"{frames} frames that move need videos as long", "shorter ones and images")
            )
            raise BadInput(f"static={static}: {what}, and there are only {less} {'held out' if held_out else 'to train on'}; give static=1")
        still = rng.random(batch) < static
        source = sources[rng.integers(0, len(sources), batch)]
        if len(clips):
            ends = np.cumsum(self.shapes[clips, 0])
            moving = clips[np.searchsorted(ends, rng.integers(0, ends[-1], batch), side="right")]
            source = np.where(still, source, moving)
        length = self.shapes[source, 0]
        gap = np.where(still, 0, 1 + (rng.random(batch) * np.minimum(max_gap, (length - 1) // (frames - 1))).astype(np.int64))
        first = (rng.random(batch) * (length - (frames - 1) * gap)).astype(np.int64)
        box = np.asarray([draw_box(rng, int(h), int(w), self.scale) for _, h, w in self.shapes[source]], dtype=np.int64)
        return Plan(source, first, gap, box, rng.integers(0, 2**63, batch))

    def read(self, plan: Plan, frames: int = 2) -> tuple[UInt8[np.ndarray, "b h w 3"], ...]:
        """The planned frames t and t+k; with `frames=3`, t+2k too."""
        found = tuple(np.empty((len(plan), self.size, self.size, 3), np.uint8) for _ in range(frames))
        for row, (source, first, gap) in enumerate(zip(plan.source.tolist(), plan.first.tolist(), plan.gap.tolist(), strict=True)):
            clip = self.footage[source]
            for number, frame in enumerate(found):
                frame[row] = cut(clip[first + number * gap], plan.box[row], self.size) if gap or not number else found[0][row]
        return found

    def square(self, source: int, frame: int) -> UInt8[np.ndarray, "h w 3"]:
        """One frame's middle square, as measurements want it."""
        whole = self.footage[source][frame]
        side = min(whole.shape[:2])
        return cut(whole, ((whole.shape[0] - side) // 2, (whole.shape[1] - side) // 2, side, side), self.size)

    def pairs(self, seed: int, step: int, batch: int, static: float, max_gap: int) -> tuple[UInt8[np.ndarray, "b h w 3"], ...]:
        """`read(plan(…))` of the training clips."""
        return self.read(self.plan(seed, step, batch, static, max_gap))
