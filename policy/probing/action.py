"""Which action was taken between two frames, read from frozen tokens of play by a linear probe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from policy.pretrain.clips import Clips
from policy.pretrain.footage import PlayIndex
from policy.probing.ridge import Gram, gram, ridge
from policy.probing.tokens import Features
from policy.storage.mapped import mapped
from whatwhere.counted import counted
from whatwhere.errors import BadInput
from whatwhere.files import read_json

NAMES = ("x", "y", "z", "turn_x", "turn_y", "turn_z", "gripper")
CAMERA = "agentview"


@dataclass(frozen=True)
class Actions:
    """Pairs of frames and the mean action between them, in [−1, 1]; the first `num_fit` are for fitting, the others are of held-out takes."""

    frames: UInt8[np.ndarray, "n 2 h w 3"]
    actions: Float[np.ndarray, "n 7"]
    clips: Int[np.ndarray, " n"]
    num_fit: int
    digest: str


def read_actions(folder: str | Path, holdout: float, gap: int, fit: int, held_out: int, seed: int) -> Actions:
    """Pairs (t, t+gap) of play from the scene camera, at most `fit` and `held_out` of them. Takes are held out as in pre-training. Raises BadInput."""
    folder, clips = Path(folder), Clips(folder, holdout=holdout)
    actions = mapped(folder / "labels" / "actions.npy", "make play with python -m envs.demos.play")  # (clips, frames, stride, a)
    if actions.ndim != 4 or actions.dtype.kind != "f" or len(actions) != len(clips.footage.names):
        raise BadInput(f"play={folder}: labels/actions.npy: found {actions.dtype} {actions.shape}; needs floats (clips, frames, stride, a)")
    rows = read_json(folder / "index.json", PlayIndex).get("clip_list", [])
    if len(rows) != len(actions) or actions.shape[3] != len(NAMES):
        found = f"index.json lists {counted(len(rows), 'clip')}, labels/actions.npy has {actions.shape}"
        raise BadInput(f"play={folder}: {found}; needs (clips, frames, stride, {len(NAMES)})")
    usable = np.array([row["camera"] == CAMERA for row in rows]) & np.isfinite(actions).all(axis=(1, 2, 3))
    if actions.shape[1] <= gap:
        raise BadInput(f"gap={gap}: the clips of {folder} have {counted(actions.shape[1], 'frame')}")
    rng, pairs = np.random.default_rng(seed), []
    for numbers, most in ((clips.training, fit), (clips.held_out, held_out)):
        mine = numbers[usable[numbers]]
        every = np.stack(np.meshgrid(mine, np.arange(actions.shape[1] - gap), indexing="ij"), -1).reshape(-1, 2)
        if len(every) < 50:
            raise BadInput(f"play={folder}: {len(every)} pairs of frames to {'measure on' if pairs else 'fit to'}; needs 50: more clips, or another holdout=")
        pairs.append(rng.permutation(every)[:most])
    chosen = np.concatenate(pairs)
    frames = np.stack([np.asarray(clips.footage[int(clip)])[[t, t + gap]] for clip, t in chosen])
    means = np.stack([actions[clip, t : t + gap].mean(axis=(0, 1)) for clip, t in chosen]).astype(np.float64)
    return Actions(frames, means, chosen[:, 0], len(pairs[0]), f"{folder.resolve().name} {holdout} {gap} {fit} {held_out} {seed} {len(rows)}")


def action_probe(features: Features, data: Actions) -> list[dict[str, Any]]:
    """Ridge regression of patches, average and CLS of P, M and fused: R² (mean over the numbers of an action, and each) and mean absolute error.

    Its strength is chosen by leaving out a clip at a time: the other frames of a clip would tell too much of one.
    """
    count, grams, records = data.num_fit, dict[int, Gram](), []
    for stream, ways in features.items():
        for way, parts in ways.items():
            for part in parts:
                if id(part) not in grams:
                    grams[id(part)] = gram(part[:count], part[count:])
            fit = ridge(reduce(add, (grams[id(part)] for part in parts)), data.actions[:count], data.clips[:count])
            records.append({"streams": stream, "read": way, **scores(fit.predicted, data), "strength": fit.strength})
    return records


def scores(predicted: np.ndarray, data: Actions) -> dict[str, float]:
    """R² against always predicting the mean of the held-out actions; errors in the action's own units."""
    truth = data.actions[data.num_fit :]
    left = np.square(predicted - truth).sum(axis=0) / np.square(truth - truth.mean(axis=0)).sum(axis=0)
    error = np.abs(predicted - truth).mean(axis=0)
    named = {f"r2_{name}": float(1 - value) for name, value in zip(NAMES, left, strict=True)}
    return {"r2": float(1 - left.mean()), "mean_error": float(error.mean())} | named | {f"error_{n}": float(e) for n, e in zip(NAMES, error, strict=True)}


def guess(data: Actions) -> dict[str, float]:
    """The scores of always predicting the mean action."""
    return scores(np.broadcast_to(data.actions[: data.num_fit].mean(axis=0), (len(data.actions) - data.num_fit, data.actions.shape[1])), data)
