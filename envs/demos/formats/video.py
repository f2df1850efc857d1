"""Pictures in and out of mp4 files, a frame at a time: out through the ffmpeg that imageio-ffmpeg brings, in through whatwhere.film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from envs.demos.layout import MAX_STEPS
from envs.video import VideoFile
from whatwhere.errors import BadInput
from whatwhere.film import Film, Unreadable

KEYFRAME_EVERY = 2  # as LeRobot has it, so that any frame is quick to reach


def new_video(path: Path, height: int, width: int, hz: int, crf: int) -> VideoFile:
    """An H.264 file that LeRobot reads, to be written. `crf` 0 (best) to 51."""
    colours = "yuv444p" if height % 2 or width % 2 else "yuv420p"  # half the colours' resolution needs even numbers
    return VideoFile(path, height, width, hz, ["-crf", str(crf), "-g", str(KEYFRAME_EVERY), "-bf", "0", "-threads", "1"], colours)


class VideoFrames:
    """The frames of an mp4 file of `hz` frames a second, in rising order; going back starts anew. Raises BadInput."""

    def __init__(self, path: Path, height: int, width: int, hz: float) -> None:
        self.path, self.shape, self.hz, self._at, self._frames = path, (height, width, 3), hz, 0, None

    def take(self, start: int, count: int) -> np.ndarray:
        """Frames `start` … `start + count - 1`, uint8 (count, h, w, 3)."""
        if self._frames is None or start < self._at:
            self.close()
            self._frames, self._at = self._decoded(), 0
        taken = np.empty((count, *self.shape), np.uint8)
        while self._at < start + count:
            if self._at >= MAX_STEPS * 100 or (frame := next(self._frames, None)) is None:
                raise BadInput(f"{self.path}: ends at frame {self._at}, needed are {start + count}")
            if self._at >= start:
                taken[self._at - start] = frame()
            self._at += 1
        return taken

    def _decoded(self) -> Iterator[Callable[[], np.ndarray]]:
        """Each frame, to be converted if it is wanted. A frame that is not where its number says would shift all that follow."""
        height, width, _ = self.shape
        try:
            with Film(self.path, format="mov", threads=1, as_shown=False) as film:  # raw, as LeRobot's own readers have it: meta/info.json says the size
                first = None
                for number, frame in enumerate(film.frames()):
                    if (frame.height, frame.width) != (height, width):
                        raise BadInput(f"{self.path}: frames are {frame.height} × {frame.width}, meta/info.json says {height} × {width}")
                    first = frame.time if first is None else first
                    if frame.time is not None and first is not None and abs((frame.time - first) * self.hz - number) > 0.5:
                        raise BadInput(f"{self.path}: frame {number} is at {frame.time - first:.3f} s: not {self.hz:g} frames a second, as meta/info.json says")
                    yield lambda frame=frame: film.picture(frame, width, height)
        except Unreadable as error:
            raise BadInput(f"{self.path}: not a whole mp4 video ({error})") from None

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()  # type: ignore[attr-defined]
            self._frames = None
