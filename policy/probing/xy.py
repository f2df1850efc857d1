"""Where the target is, in cm, read from frozen tokens of one task's scenes."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch

from policy.probing.keypoints import keypoint_readout
from policy.probing.rank import effective_rank
from policy.probing.ridge import gram, ridge
from policy.probing.scenes import Scenes
from policy.probing.tokens import Features

STREAMS = ("P", "M", "fused")
WAYS = ("patches", "average", "CLS", "keypoints")
RESAMPLES = 2000  # of the bootstrap


def xy_probe(features: Features, scenes: Scenes, streams: tuple[str, ...] = STREAMS, ways: tuple[str, ...] = WAYS) -> list[dict[str, Any]]:
    """One record for each of `streams` and each way of reading them: ridge regression of patches, average and CLS; a keypoint read-out of patches.

    Errors are distances on the table between prediction and truth, on held-out scenes.
    """
    count, wanted = scenes.num_fit, scenes.xy_cm[: scenes.num_fit]
    grams: dict[tuple[str, int], Any] = {}
    records = []
    for stream in streams:
        for way in ways:
            parts = features[stream].get("patches" if way == "keypoints" else way)
            if parts is None:
                continue
            if way == "keypoints":
                predicted, strength = keypoint_readout(parts, wanted), None
            else:
                for part in parts:  # P and M are needed again where the two lie side by side
                    if (way, id(part)) not in grams:
                        grams[way, id(part)] = gram(part[:count], part[count:])
                fit = ridge(reduce(add, (grams[way, id(part)] for part in parts)), wanted)
                predicted, strength = fit.predicted, fit.strength
            rank = None
            if way == "patches" and parts[0].dtype == np.float16:
                rank = effective_rank(torch.from_numpy(np.concatenate([part[count : count + 100] for part in parts], axis=-1)))
            records.append({"streams": stream, "read": way} | errors(predicted, scenes) | {"strength": strength, "effective_rank": rank})
    return records


def errors(predicted: np.ndarray, scenes: Scenes) -> dict[str, float | None]:
    """Median with its 95 % bootstrap interval, 90th percentile, median where the target moves between the frames; cm."""
    away = np.linalg.norm(predicted - scenes.xy_cm[scenes.num_fit :], axis=1)
    moved = away[scenes.moved[scenes.num_fit :]]
    again = np.median(np.random.default_rng(0).choice(away, (RESAMPLES, len(away))), axis=1)
    low, high = np.percentile(again, [2.5, 97.5])
    return {
        "median_cm": float(np.median(away)),
        "ci95_low_cm": float(low),
        "ci95_high_cm": float(high),
        "p90_cm": float(np.percentile(away, 90)),
        "median_moved_cm": float(np.median(moved)) if len(moved) else None,
    }


def guess(scenes: Scenes) -> dict[str, float | None]:
    """The errors of always predicting the mean position."""
    return errors(np.broadcast_to(scenes.xy_cm[: scenes.num_fit].mean(axis=0), (len(scenes) - scenes.num_fit, 2)), scenes)
