"""What is wrong with what a policy is given: pure functions of pictures, proprio and instruction. Numpy alone.

The limits are far from what ordinary episodes have (docs/fallbacks.md): their pictures have a mean brightness of 178 and a deviation of 11 at least, of 255;
and while one camera saw the same for 3 control steps or more, proprio moved by at most 0.8 of its own deviation in the demonstrations.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from policy.language.strange import strange
from policy.language.vocabulary import words_of
from whatwhere.errors import BadInput

DARK, FLAT = 16.0, 4.0  # a black picture: darker and flatter than this (of 255)
ONE_COLOUR = 1.0  # flatter than this: no picture at all
FROZEN_STEPS, FROZEN_MOVE = 8, 2.0  # a frozen one: the same for so many control steps, while proprio moved by so many of its deviations


def received(frames: Any, cameras: Sequence[str], size: int) -> tuple[np.ndarray, dict[str, str]]:
    """Pictures (c, 2, size, size, 3) uint8 and, by camera, why one is none (black stands there instead).

    `frames`: an array; or by camera's name arrays (2, size, size, 3), None or nothing where one is missing; or None. Floats count as whole numbers.
    An array of another shape is returned as it is. Raises BadInput for pictures that are neither uint8 nor broken.
    """
    if isinstance(frames, np.ndarray) and (frames.dtype == np.uint8 or frames.shape != (len(cameras), 2, size, size, 3)):
        return frames, {}
    given = [(frames or {}).get(name) for name in cameras] if frames is None or isinstance(frames, Mapping) else list(frames)
    pictures, faults = np.zeros((len(cameras), 2, size, size, 3), np.uint8), {}
    for index, (camera, pair) in enumerate(zip(cameras, given, strict=False)):
        if pair is None:
            faults[camera] = "is missing"
            continue
        values = np.asarray(pair)
        if values.shape != pictures.shape[1:] or values.dtype.kind not in "uif":
            raise BadInput(f"observation: frames: {camera}: found {values.dtype} {values.shape}, needs uint8 {pictures.shape[1:]}")
        if not np.isfinite(values).all():
            faults[camera] = "has NaN or infinity"
        elif values.min() < 0 or values.max() > 255 or (values != np.floor(values)).any():
            raise BadInput(f"observation: frames: {camera}: found {values.dtype} from {values.min():g} to {values.max():g}, needs uint8")
        else:
            pictures[index] = values
    return pictures, faults


def blank(pair: UInt8[np.ndarray, "2 h w 3"]) -> str | None:
    """Why a pair of pictures shows nothing: one of the two is black or of one colour. None if both show something."""
    for picture in pair:
        flat = float(picture.std())
        if flat < FLAT and float(picture.mean()) < DARK:
            return "is black"
        if flat < ONE_COLOUR:
            return "shows one colour"
    return None


def is_frozen(steps: int, then: Float[np.ndarray, " s"], now: Float[np.ndarray, " s"]) -> bool:
    """Whether a picture that has been the same for `steps` control steps ought to have changed: proprio (normalised) was `then`, and is `now`.

    A camera that sees nothing move is not frozen: the scene camera sees the same while the hand is above its picture.
    """
    return steps >= FROZEN_STEPS and float(np.abs(now - then).max(initial=0.0)) > FROZEN_MOVE


def unheard(instruction: str, known: Collection[str]) -> str | None:
    """Why an instruction says nothing: it has no word, or none that is `known` (empty: what is known is not known). None if it says something."""
    words = words_of(instruction)
    if not words:
        return "the instruction is empty"
    return "the instruction has no word that was learnt" if known and len(strange(instruction, known)) == len(set(words)) else None
