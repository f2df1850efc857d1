"""Tokens of frozen streams for pairs of pictures, in 16 bits, in memory or in memory maps."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from policy.channels import pair_channels, picture_tensor
from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.colour_words import colour_words
from policy.streams import TwoStreamEncoder
from whatwhere.arrays import ArrayFile

# streams → how they are read → arrays whose features lie side by side, (pairs, …) each
PRESENT = {"future": 0, "past": 1}  # the frame of a pair that P is of (policy.channels.pair_channels)
Features = Mapping[str, Mapping[str, tuple[np.ndarray, ...]]]


@torch.no_grad()
def token_features(
    streams: TwoStreamEncoder,
    fusion: PixelwiseFusion | None,
    frames: UInt8[np.ndarray, "n 2 h w 3"],
    folder: Path | None = None,
    *,
    device: torch.device | str = "cpu",
    batch: int = 16,
    change: str = "future",
) -> Features:
    """CLS, average and patches of P, M and the two fused: by `fusion`, or side by side if there is none. Memory maps in `folder` if one is given."""
    training = streams.training
    modules = [module.eval() for module in (streams, fusion) if module is not None]
    parts = _parts(streams, fusion, frames, device, batch, change)
    if folder is None:
        every = [values for _, values in parts]
        stored = {name: np.concatenate([values[name] for values in every]) for name in every[0]}
    else:
        shape, names = (len(frames), 1 + streams.num_patches, streams.dim), ("P", "M") if fusion is None else ("P", "M", "fused")
        with contextlib.ExitStack() as open_files:
            files = {name: open_files.enter_context(ArrayFile(folder / f"{name}.npy", shape, np.float16)) for name in names}
            for begin, values in parts:
                for name, value in values.items():
                    files[name].write((begin,), value)
        stored = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
    for module in modules:
        module.train(training)
    read: dict[str, dict[str, tuple[np.ndarray, ...]]] = {name: _ways(array) for name, array in stored.items()}
    if fusion is None:
        read["fused"] = {way: (*read["P"][way], *read["M"][way]) for way in read["P"]}
    return read


def _parts(
    streams: TwoStreamEncoder, fusion: PixelwiseFusion | None, frames: np.ndarray, device: torch.device | str, batch: int, change: str
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(number of the first pair, tokens (b, 1 + n, d) by name, CLS first), a batch at a time."""
    for begin in range(0, len(frames), batch):
        channels = pair_channels(torch.from_numpy(frames[begin : begin + batch]).to(device), change)
        tokens = streams(channels.m, channels.p)
        values = {"P": torch.cat([tokens.p_cls[:, None], tokens.p_patches], 1), "M": torch.cat([tokens.m_cls[:, None], tokens.m_patches], 1)}
        if fusion is not None:
            values["fused"] = fusion(tokens).values
        yield begin, {name: value.half().cpu().numpy() for name, value in values.items()}


def pixel_features(frames: UInt8[np.ndarray, "n 2 h w 3"], change: str = "future") -> Features:
    """The same for raw pixels: P is the first picture (change=past: the second), M the difference, each colour value a feature; no CLS."""
    now = np.ascontiguousarray(frames[:, PRESENT[change]])
    moved = frames[:, 1].astype(np.int16) - frames[:, 0]
    read = {name: {"patches": (x.reshape(len(x), -1, 3),), "average": (x.mean(axis=(1, 2), dtype=np.float32),)} for name, x in (("P", now), ("M", moved))}
    return read | {"fused": {way: read["P"][way] + read["M"][way] for way in read["P"]}}


@torch.no_grad()
def word_features(frames: UInt8[np.ndarray, "n 2 h w 3"], grid: tuple[int, int], batch: int = 100, change: str = "future") -> Features:
    """The same for the colour words that streams are asked for in pre-training, as numbers of the picture itself: P is those of the first picture
    (change=past: the second), M their difference, fused those of both."""
    both = tuple(
        np.concatenate([colour_words(picture_tensor(frames[begin : begin + batch, i]), grid).numpy() for begin in range(0, len(frames), batch)]) for i in (0, 1)
    )
    read = {name: {"patches": (x,), "average": (x.mean(axis=1),)} for name, x in (("P", both[PRESENT[change]]), ("M", both[1] - both[0]))}
    joined = np.concatenate(both, axis=-1)
    return read | {"fused": {"patches": (joined,), "average": (joined.mean(axis=1),)}}


def digest(*modules: nn.Module | None) -> str:
    """Names weights by their content."""
    total = hashlib.sha256()
    for module in modules:
        for name, value in {} if module is None else module.state_dict().items():
            total.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return total.hexdigest()


def _ways(tokens: np.ndarray) -> dict[str, tuple[np.ndarray, ...]]:
    """Of tokens (pairs, 1 + n, d), CLS first."""
    average = np.stack([tokens[row, 1:].mean(axis=0, dtype=np.float32) for row in range(len(tokens))])
    return {"patches": (tokens[:, 1:],), "average": (average,), "CLS": (tokens[:, 0],)}
