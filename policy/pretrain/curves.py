"""What a run says of itself: a line on the terminal, `figures.jsonl`, TensorBoard, and a picture of predictions."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from policy.pretrain.rows import Figures
from whatwhere.files import append_row, atomic, read_rows, write_text

SMOOTH = 0.95  # of the figures on the terminal


class Curves:
    """Rows {"step", "of": "training", "held_out" or "probe", figure: value, …} of `out/figures.jsonl`, and the same in `out/tensorboard`.

    Rows of steps after `begin`, which a killed run wrote and this one will do again, are dropped.
    """

    def __init__(self, out: Path, begin: int, steps: int, batch: int) -> None:
        self.path, self.begin, self.steps, self.batch = out / "figures.jsonl", begin, steps, batch
        if self.path.exists():
            rows = [row for row in read_rows(self.path, Figures) if row["step"] <= begin]
            write_text(self.path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=begin + 1)
        self.clock, self.smooth = time.monotonic(), dict[str, float]()

    def follow(self, figures: dict[str, float]) -> None:
        """Takes the figures of one step into the running means of the terminal."""
        for key, value in figures.items():
            if math.isfinite(value):
                self.smooth[key] = value if key not in self.smooth else SMOOTH * self.smooth[key] + (1 - SMOOTH) * value

    def report(self, step: int, figures: dict[str, float], waited: float) -> None:
        """Progress after `step` steps: running means, samples a second, share of the time spent waiting for data, minutes left."""
        self._keep(step, "training", figures)
        seconds = time.monotonic() - self.clock
        rate = (step - self.begin) / seconds
        print(
            f"\rstep {step}/{self.steps} {_line(self.smooth)} · {rate * self.batch:.0f} samples/s · data {waited / seconds:.1%}"
            f" · {(self.steps - step) / rate / 60:.1f} min left ",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def looked(self, step: int, of: str, figures: dict[str, float]) -> None:
        """Figures of held-out clips or of probes, on a line of their own."""
        self._keep(step, of, figures)
        print(f"\nstep {step}/{self.steps} {of.replace('_', ' ')}: {_line(figures)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        print(file=sys.stderr)
        self.writer.close()

    def _keep(self, step: int, of: str, figures: dict[str, float]) -> None:
        known = {key: value for key, value in figures.items() if math.isfinite(value)}  # nan: nothing in these samples to measure it on
        append_row(self.path, {"step": step, "of": of} | known)
        for key, value in known.items():
            self.writer.add_scalar(key if of == "training" else f"{of}/{key}", value, step)


def mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each figure over the rows that know it (are not nan); nan if none does."""
    known = {key: [row[key] for row in rows if not math.isnan(row[key])] for key in rows[0]}
    return {key: math.fsum(values) / len(values) if values else math.nan for key, values in known.items()}


def _line(figures: dict[str, float]) -> str:
    return " ".join(f"{key} {value:.4g}" for key, value in figures.items())


def pictures(path: Path, now: Tensor, later: Tensor, picture: Tensor, count: int = 8) -> None:
    """Rows: frame t, frame t+k, prediction, absolute error; all (b, 3, h, w) in [0, 1]."""
    picture = picture[:count].detach().float()
    count = len(picture)  # of the first micro-batch, which may be less
    rows = (now[:count], later[:count], picture.clamp(0, 1), (picture - later[:count]).abs().clamp(0, 1))
    write_picture(path, rows_of_pictures(rows))


def rows_of_pictures(rows: Sequence[Tensor]) -> Tensor:
    """(b, 3, h, w) each, below one another → (3, rows · h, b · w)."""
    return torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)


def write_picture(path: Path, picture: Tensor) -> None:
    """(3, h, w) in [0, 1], as PNG."""
    with atomic(path) as temporary:
        iio.imwrite(temporary, (picture.clamp(0, 1).permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8), extension=".png")
