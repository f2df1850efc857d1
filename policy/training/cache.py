"""Tokens of frozen streams, computed once for a set of demonstrations and read by every strategy, head and demo count."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
from pathlib import Path
from typing import Annotated, TypedDict

import numpy as np
import torch
from jaxtyping import Int
from msgspec import Meta
from torch import Tensor

from policy.channels import m_channels, p_channels, picture_tensor
from policy.shapes import StreamTokens
from policy.storage.mapped import mapped
from policy.streams import TwoStreamEncoder
from policy.training.dataset import Demos, shifted
from policy.training.device import autocast
from whatwhere.arrays import ArrayFile
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import atomic, read_json, write_json
from whatwhere.owned import owned
from whatwhere.schema import Index

FIELDS = ("m_cls", "m_patches", "p_cls", "p_patches")


class CacheIndex(TypedDict):
    """`index.json` of a token cache."""

    shifts: Annotated[int, Meta(ge=1, le=10_000)]
    reach_px: Annotated[int, Meta(ge=0, le=4096)]
    seed: Index


class TokenCache:
    """Stream tokens of `shifts` shifted copies of each sample, float16 in memory maps: arrays (shifts, samples, cameras, …)."""

    def __init__(self, folder: Path):
        self.index: CacheIndex = read_json(folder / "index.json", CacheIndex)
        self.arrays = {name: mapped(folder / f"{name}.npy", "remove that folder to compute it again") for name in FIELDS}
        self.shifts = self.index["shifts"]
        samples = self.arrays["m_cls"].shape[1] if self.arrays["m_cls"].ndim > 1 else 0
        for name, array in self.arrays.items():
            if array.dtype != np.float16 or array.ndim != (5 if name.endswith("patches") else 4) or array.shape[:2] != (self.shifts, samples):
                raise BadInput(f"{folder / name}.npy: found {array.dtype} {array.shape}, index.json says {self.shifts} copies; remove that folder")
        self.table = shift_table(self.shifts, samples, self.index["reach_px"], self.index["seed"])
        self.held: dict[str, Tensor] = {}

    def beside(self, device: torch.device) -> TokenCache:
        """Itself, its tokens held by a GPU where half of what is free there takes them: training then waits for no disk."""
        size = sum(array.nbytes for array in self.arrays.values())
        if device.type == "cuda" and size <= torch.cuda.mem_get_info(device)[0] // 2:
            self.hold(device)
        return self

    def hold(self, device: torch.device) -> None:
        self.held = {name: torch.from_numpy(np.array(array)).to(device) for name, array in self.arrays.items()}

    def tokens(self, shift: Int[np.ndarray, " b"], sample: Int[np.ndarray, " b"]) -> StreamTokens:
        """Stream tokens of the chosen copies, float16, where they are held: cls (b, c, d), patches (b, c, n, d)."""
        if self.held:
            device = self.held[FIELDS[0]].device
            copies, rows = torch.from_numpy(shift).to(device), torch.from_numpy(sample).to(device)
            return StreamTokens(*(self.held[name][copies, rows] for name in FIELDS))
        return StreamTokens(*(torch.from_numpy(self.arrays[name][shift, sample]) for name in FIELDS))


def token_cache(
    root: str | Path,
    streams: TwoStreamEncoder,
    streams_name: str,
    demos: Demos,
    shifts: int,
    reach: int,
    seed: int,
    batch: int = 16,
    device: str = "cpu",
    precision: str = "fp32",
    later: Int[np.ndarray, "r t"] | None = None,
) -> TokenCache:
    """Opens the cache of these streams, demos and shifts under `root`, computing it first, in `precision`, if it is not there. Copy 0 is not shifted.

    later: the row of each copy's later frame, for tokens of what will change (change=future); None: those of what has (change=past).

    A whole one is used as it is, also where nothing can be written. Raises BadInput where one is to be written and cannot, OSError if the disk is full.
    """
    rounded = "" if isinstance(autocast(torch.device(device), precision), contextlib.nullcontext) else " bf16"  # tokens of the two are never mixed
    ahead = "" if later is None else f" {hashlib.sha256(later.astype(np.int64).tobytes()).hexdigest()}"
    key = hashlib.sha256(f"{streams_name} {demos.digest} {shifts} {reach} {seed}{rounded}{ahead}".encode()).hexdigest()[:16]
    folder = Path(root) / key
    if not (folder / "index.json").exists():
        check_writable("cache", root)
    with owned(folder, wait=True, option="cache"):  # another training that needs the same tokens computes them
        if not (folder / "index.json").exists():
            _fill(folder, streams, demos, shift_table(shifts, len(demos), reach, seed), reach, batch, device, precision, later)
            write_json(folder / "index.json", {"streams": streams_name, "demos": demos.digest, "shifts": shifts, "reach_px": reach, "seed": seed})
    return TokenCache(folder)


def shift_table(shifts: int, samples: int, reach: int, seed: int) -> Int[np.ndarray, "r t 2"]:
    """The (dy, dx) of every copy of every sample; copy 0 is not shifted."""
    table = np.random.default_rng([seed, 7]).integers(-reach, reach + 1, (shifts, samples, 2))
    table[0] = 0
    return table


@torch.no_grad()
def _fill(
    folder: Path,
    streams: TwoStreamEncoder,
    demos: Demos,
    table: np.ndarray,
    reach: int,
    batch: int,
    device: str,
    precision: str,
    later: np.ndarray | None,
) -> None:
    streams = streams.eval().to(device)
    shifts, samples, cameras = len(table), len(demos), demos.frames.shape[1]
    n, d = streams.num_patches, streams.dim
    shapes = {"m_cls": (d,), "m_patches": (n, d), "p_cls": (d,), "p_patches": (n, d)}
    begin, total = time.monotonic(), shifts * samples
    with contextlib.ExitStack() as files:
        # another machine may be at it, too, where locks do not reach it: the first one's files stay
        drafts = {name: files.enter_context(atomic(folder / f"{name}.npy", keep=True)) for name in shapes}
        arrays = {name: files.enter_context(ArrayFile(drafts[name], (shifts, samples, cameras, *shape), np.float16)) for name, shape in shapes.items()}
        for copy in range(shifts):
            for start in range(0, samples, batch):
                rows = np.arange(start, min(start + batch, samples))
                first, second = (demos.previous[rows], rows) if later is None else (rows, later[copy, rows])
                pair = np.concatenate([demos.frames[first], demos.frames[second]], axis=1)  # (b, 2c, h, w, 3)
                moved = picture_tensor(shifted(pair, table[copy, rows], reach), device)
                prev, curr = moved[:, :cameras].flatten(0, 1), moved[:, cameras:].flatten(0, 1)
                with autocast(torch.device(device), precision):
                    tokens = streams(m_channels(prev, curr), p_channels(curr if later is None else prev))
                for name in FIELDS:
                    value = getattr(tokens, name).unflatten(0, (len(rows), cameras))
                    arrays[name].write((copy, start), value.half().cpu().numpy())
            done = (copy + 1) * samples
            left = (time.monotonic() - begin) * (total - done) / done
            print(f"\rcaching tokens: {done}/{total} samples, {left:.0f} s left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
