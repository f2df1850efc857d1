"""Pictures in and out of mp4 files, a frame at a time, through the ffmpeg that imageio-ffmpeg brings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

from envs.demos.layout import MAX_STEPS
from envs.video import VideoFile
from whatwhere.errors import BadInput

KEYFRAME_EVERY = 2  # as LeRobot has it, so that any frame is quick to reach
MAX_PIXELS = 4096 * 4096
# Only as mp4, only this file: a playlist or a reference to other media under that name is not followed.
ONLY_MP4 = ["-f", "mov", "-protocol_whitelist", "file", "-enable_drefs", "0", "-max_pixels", str(MAX_PIXELS), "-threads", "1"]
EVERY_FRAME = ["-map", "0:v:0", "-fps_mode", "passthrough", "-threads", "1"]


def new_video(path: Path, height: int, width: int, hz: int, crf: int) -> VideoFile:
    """An H.264 file that LeRobot reads, to be written. `crf` 0 (best) to 51."""
    colours = "yuv444p" if height % 2 or width % 2 else "yuv420p"  # half the colours' resolution needs even numbers
    return VideoFile(path, height, width, hz, ["-crf", str(crf), "-g", str(KEYFRAME_EVERY), "-bf", "0", "-threads", "1"], colours)


class VideoFrames:
    """The frames of an mp4 file in rising order; going back starts anew. Raises BadInput."""

    def __init__(self, path: Path, height: int, width: int) -> None:
        self.path, self.shape, self._at, self._frames = path, (height, width, 3), 0, None

    def take(self, start: int, count: int) -> np.ndarray:
        """Frames `start` … `start + count - 1`, uint8 (count, h, w, 3)."""
        if self._frames is None or start < self._at:
            self.close()
            self._frames, self._at = self._open(), 0
        taken = np.empty((count, *self.shape), np.uint8)
        while self._at < start + count:
            if self._at >= MAX_STEPS * 100 or (frame := next(self._frames, None)) is None:
                raise BadInput(f"{self.path}: ends at frame {self._at}, needed are {start + count}")
            if self._at >= start:
                taken[self._at - start] = np.frombuffer(frame, np.uint8).reshape(self.shape)
            self._at += 1
        return taken

    def _open(self) -> Iterator[bytes]:
        frames: Any = imageio_ffmpeg.read_frames(str(self.path), input_params=ONLY_MP4, output_params=EVERY_FRAME)
        try:
            size = next(frames)["size"]
        except (OSError, RuntimeError, StopIteration, IndexError, ValueError, KeyError):
            raise BadInput(f"{self.path}: not a whole mp4 video") from None
        if tuple(size) != self.shape[1::-1]:
            frames.close()
            raise BadInput(f"{self.path}: frames are {size[1]} × {size[0]}, meta/info.json says {self.shape[0]} × {self.shape[1]}")
        return frames

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()  # type: ignore[attr-defined]
            self._frames = None
