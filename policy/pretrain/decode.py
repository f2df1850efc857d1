"""Videos and pictures to uint8 frames: PyAV (FFmpeg in the same process, with time stamps and rotation) and Pillow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from policy.pretrain.listing import Item

BROKEN = (av.error.FFmpegError, OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


class Unreadable(Exception):
    """A file that is no video or picture, is damaged, or has nothing in it."""


def frames(item: Item, short_px: int, fps: float | None = None) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames of a clip, all of one size, or the one frame of a picture; the shorter side has `short_px` pixels, or fewer in a smaller picture.

    `fps`: at most so many frames of a video's second are kept. Raises Unreadable at the first that cannot be decoded.
    """
    count = 0
    try:
        for frame in _video(item.files[0], short_px, fps) if item.is_video else (_picture(path, short_px) for path in item.files):
            shape = frame.shape if not count else shape  # type: ignore[has-type]
            if frame.shape != shape:
                raise Unreadable(f"frame {count} has {frame.shape[1]} × {frame.shape[0]} pixels, those before it {shape[1]} × {shape[0]}")
            count += 1
            yield frame
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreadable(" ".join(reason.split())) from None
    if not count:
        raise Unreadable("no frames in it")


def _video(path: Path, short_px: int, fps: float | None) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise Unreadable("no video in it")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        due, size = None, None
        for frame in container.decode(stream):
            if fps is not None and frame.time is not None:
                due = frame.time if due is None else due
                if frame.time < due - 1e-6:
                    continue
                due += max(1, round((frame.time - due) * fps) + 1) / fps
            size = _smaller(frame.width, frame.height, short_px) if size is None else size
            small = frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray()
            yield np.ascontiguousarray(np.rot90(small, round(frame.rotation / 90)))


def _picture(path: Path, short_px: int) -> np.ndarray:
    with Image.open(path) as image:
        image.draft("RGB", _smaller(*image.size, short_px))  # JPEG: decodes at an eighth, a quarter or a half where that is enough
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        return np.asarray(upright.convert("RGB").resize(_smaller(*upright.size, short_px), Image.Resampling.BOX))


def _smaller(width: int, height: int, short_px: int) -> tuple[int, int]:
    """Width and height with the shorter side at `short_px`, never larger than they were."""
    scale = min(1.0, short_px / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
