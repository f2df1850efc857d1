"""Videos and pictures to uint8 frames, as a player or a viewer shows them (whatwhere.film, whatwhere.picture), scaled while they are decoded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from policy.pretrain.listing import Item
from whatwhere.errors import BadInput
from whatwhere.film import Film, Unreadable
from whatwhere.picture import pictures

__all__ = ["Unreadable", "frames"]


def frames(
    item: Item, short_px: int, fps: float | None = None, white: float | None = None, notes: list[str] | None = None
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames of a clip, all of one size, or the one frame of a picture; the shorter side has `short_px` pixels, or fewer in a smaller picture.

    `fps`: at most so many frames of a film's second are kept. `white`: see `whatwhere.picture`. `notes` is given, at the end, what is not read of the file.
    Raises Unreadable at the first that cannot be decoded.
    """
    count, pace, notes = 0, _Pace(fps), [] if notes is None else notes
    source = _film(item, short_px, pace, notes) if item.is_film else _pictures(item, short_px, pace, white, notes)
    try:
        for frame in source:
            shape = frame.shape if not count else shape  # type: ignore[has-type]
            if frame.shape != shape:
                raise Unreadable(f"frame {count} has {frame.shape[1]} × {frame.shape[0]} pixels, those before it {shape[1]} × {shape[0]}")
            count += 1
            yield frame
    except BadInput as error:  # of `look`
        raise Unreadable(str(error)) from None
    if not count:
        raise Unreadable("no frames in it")


def _film(item: Item, short_px: int, pace: _Pace, notes: list[str]) -> Iterator[np.ndarray]:
    with Film(item.files[0]) as film:
        size = None
        for frame in film.frames():
            if pace.wants(frame.time):
                size = _smaller(*film.shown_size(frame), short_px) if size is None else size
                yield film.picture(frame, *size)
        if film.damage:
            notes.append(film.damage)


def _pictures(item: Item, short_px: int, pace: _Pace, white: float | None, notes: list[str]) -> Iterator[np.ndarray]:
    """Of one file all that move, of several the first of each."""
    for path in item.files:
        for picture, time in pictures(path, lambda width, height: _smaller(width, height, short_px), white, notes):
            if len(item.files) > 1 or pace.wants(time):
                yield picture
            if len(item.files) > 1:
                break


class _Pace:
    """Which frames to keep so that a second has at most `fps` (None: all)."""

    def __init__(self, fps: float | None) -> None:
        self.fps, self.due = fps, None

    def wants(self, time: float | None) -> bool:
        if self.fps is None or time is None:
            return True
        due = time if self.due is None else self.due
        if time < due - 1e-6:
            return False
        self.due = due + max(1, round((time - due) * self.fps) + 1) / self.fps
        return True


def _smaller(width: int, height: int, short_px: int) -> tuple[int, int]:
    """Width and height with the shorter side at `short_px`, never larger than they were."""
    scale = min(1.0, short_px / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
