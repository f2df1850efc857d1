"""What lies there and on which side, read from frozen tokens by a linear map: what a token for the whole picture, CLS or an average, should hold."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np
from jaxtyping import Bool

from policy.probing.ridge import gram, ridge
from policy.probing.scenes import Scenes
from policy.probing.tokens import Features

STREAMS = ("P", "M", "fused")
WAYS = ("CLS", "average", "patches")


def contents_probe(features: Features, scenes: Scenes, ways: tuple[str, ...] = WAYS) -> list[dict[str, Any]]:
    """One record for each stream and each of `ways` to read it: shares of held-out scenes in which ridge regression to −1 and 1 has the right sign.

    `left_right`, `near_far`: on which side of the middle (the median of the scenes that are fitted to) the target lies. In scenes of named things,
    where any of them may be the target, instead `named`: of each colour and shape, whether something of it lies there, the mean; `all_named`: all of them
    right.
    """
    asked, count, records = questions(scenes), scenes.num_fit, []
    wanted = np.where(asked, 1.0, -1.0)
    for stream in STREAMS:
        for way in ways:
            if (parts := features[stream].get(way)) is None:
                continue
            fit = ridge(reduce(add, (gram(part[:count], part[count:]) for part in parts)), wanted[:count])
            records.append({"streams": stream, "read": way} | shares((fit.predicted > 0) == asked[count:], scenes))
    return records


def questions(scenes: Scenes) -> Bool[np.ndarray, "n y"]:
    """The answers, yes or no, of every scene."""
    if scenes.present is not None:
        return scenes.present
    return scenes.xy_cm[:, ::-1] > np.median(scenes.xy_cm[: scenes.num_fit, ::-1], axis=0)  # y is to the side, x away from the robot


def shares(right: Bool[np.ndarray, "m y"], scenes: Scenes) -> dict[str, float | None]:
    """What is told of right answers."""
    if scenes.present is None:
        return {"left_right": float(right[:, 0].mean()), "near_far": float(right[:, 1].mean()), "named": None, "all_named": None}
    return {"left_right": None, "near_far": None, "named": float(right.mean()), "all_named": float(right.all(axis=1).mean())}


def guess(scenes: Scenes) -> dict[str, float | None]:
    """The shares of always giving the more frequent answer."""
    asked, count = questions(scenes), scenes.num_fit
    return shares((asked[:count].mean(axis=0) > 0.5) == asked[count:], scenes)
