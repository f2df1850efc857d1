"""Video files that are whole or not there: ffmpeg must end well, and what it wrote must open and hold every frame, before it gets its name."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np

from whatwhere.errors import BadInput, Failed
from whatwhere.files import draft, put
from whatwhere.look import look


class VideoFile:
    """An H.264 mp4 file of frames (h, w, 3) uint8; a context manager. `options` are ffmpeg's, for the encoder.

    The file appears under its name at the end of the `with`; after an error, or `drop`, nothing is left. Raises Failed, one line with ffmpeg's reason.
    """

    def __init__(self, path: str | Path, height: int, width: int, hz: float, options: Sequence[str], colours: str = "yuv420p") -> None:
        self.path, self.count, self._is_over = Path(path), 0, False
        self._draft = draft(self.path)
        rate = str(Fraction(hz).limit_denominator())
        pictures = ["-f", "rawvideo", "-vcodec", "rawvideo", "-s", f"{width}x{height}", "-pix_fmt", "rgb24", "-r", rate, "-i", "-", "-an"]
        words = [_ffmpeg(), "-y", "-v", "error", *pictures, "-vcodec", "libx264", "-pix_fmt", colours, *options, "-f", "mp4"]
        words += [str(self._draft.absolute())]  # a colon in a relative path would end the name of a protocol
        self._said = os.fdopen(os.memfd_create("ffmpeg"), "rb")  # what ffmpeg says: in memory, for the disk may be full
        try:
            # In a group of its own, so that Ctrl-C does not end it before its last frame
            self._ffmpeg = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=self._said, stderr=self._said, process_group=0)
        except OSError as error:
            self._said.close()
            raise Failed(f"{self.path}: ffmpeg does not start ({error.strerror}: {words[0]})") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.finish() if kind is None else self.drop()

    @property
    def bytes(self) -> int:
        """How large the file is so far."""
        return self._draft.stat().st_size if self._draft.exists() else 0

    def write(self, frames: np.ndarray) -> None:
        """Adds frames (t, h, w, 3), or one (h, w, 3)."""
        assert self._ffmpeg.stdin is not None
        try:
            for frame in frames if frames.ndim == 4 else frames[None]:
                self._ffmpeg.stdin.write(np.ascontiguousarray(frame).data)
                self.count += 1
        except BrokenPipeError:
            self._fail()

    def finish(self) -> None:
        """Gives the file its name, once it is whole; again: nothing."""
        if self._is_over:
            return
        self._close()
        if self._ffmpeg.returncode or num_frames(self._draft) != self.count:
            self._fail()
        put(self._draft, self.path)

    def drop(self) -> None:
        """Ends without a file."""
        if not self._is_over:
            self._ffmpeg.kill()
            self._close()
            self._draft.unlink(missing_ok=True)

    def _close(self) -> None:
        assert self._ffmpeg.stdin is not None
        with contextlib.suppress(OSError):  # it is gone already, and its exit code tells
            self._ffmpeg.stdin.close()
        self._ffmpeg.wait()
        self._is_over = True

    def _fail(self) -> None:
        self._close()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        reason = next((line.rpartition("] ")[2].strip() for line in lines if line.strip()), "it is not whole")  # the first one is the cause
        self._draft.unlink(missing_ok=True)
        raise Failed(f"{self.path}: the video could not be written (ffmpeg, exit code {self._ffmpeg.returncode}: {reason})")


def _ffmpeg() -> str:
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise Failed(f"ffmpeg: {error}") from None


def num_frames(path: str | Path) -> int:
    """The frames that an mp4 file holds; 0 if it cannot be opened or ends before all that it tells of."""
    import av
    import av.error

    try:
        look(path, "video")
        with av.open(str(Path(path).absolute()), format="mp4") as container:
            if not container.streams.video:
                return 0
            stream = container.streams.video[0]
            found = sum(packet.size > 0 and not packet.is_corrupt for packet in container.demux(stream))
            return found if found == stream.frames else 0
    except (BadInput, av.error.FFmpegError, ValueError):
        return 0
