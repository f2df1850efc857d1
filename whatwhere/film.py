"""A film as a player shows it, frame by frame: the film and not its cover, upright, with square pixels, in the colours that its own metadata say.

PyAV: FFmpeg in the same process. Only the file itself is read: no playlist and no reference to other media is followed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.error
import av.filter
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Colorspace, VideoReformatter
from PIL import Image

from whatwhere.errors import is_of_this_machine
from whatwhere.look import look
from whatwhere.picture import WIDEST, Unreadable, on_background

FORMATS = (  # of FFmpeg's demuxers: those of films, none of playlists, devices or text
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,av1,ivf,ogg,flv,live_flv,mxf,dv,nut,rm,wtv,yuv4mpegpipe,mjpeg,gxf"
)
MOST_PIXELS = 8192 * 8192  # of a frame
NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent | Disposition.metadata
STILLS = ("mjpeg", "png", "bmp", "webp", "tiff", "gif")  # what covers are coded in
UNTOLD, HD_ROWS, HD_COLUMNS = 2, 576, 1280  # "unspecified"; from more rows, or so many columns on, such a film is in the colours of HDTV, for players too
PQ, HLG, BT709 = 16, 18, 1  # transfer characteristics and primaries, as ITU-T H.273 numbers them
MISSING_S = 0.5  # so much less than the file says it lasts, and it was cut off


class Film:
    """The frames of a video file; a context manager. Raises BadInput if it is no regular file, Unreadable if it is no film or damaged before its first frame.

    `damage` says, once all frames were taken, why they are not all there were; None if they are. `as_shown=False`: neither turned nor stretched, for files
    whose size is told elsewhere.
    """

    def __init__(self, path: Path, format: str | None = None, threads: str | int = "AUTO", as_shown: bool = True) -> None:
        self.path, self.format, self.threads, self.as_shown, self.damage = path, format, threads, as_shown, None
        self.reformatter = VideoReformatter()  # one for all frames: setting it up takes longer than a frame, for HDR seconds

    def __enter__(self) -> Self:
        look(self.path, "video")
        options = {"format_whitelist": self.format or FORMATS, "protocol_whitelist": "file", "enable_drefs": "0"}
        try:
            self.container = av.open(str(self.path.absolute()), format=self.format, options=options)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            _raise_of_this_machine(error, self.path)
            raise Unreadable(reason(error)) from None
        try:
            self.stream: Any = best(self.container.streams.video)
            if self.stream.width * self.stream.height > MOST_PIXELS:
                raise Unreadable(f"{self.stream.width} × {self.stream.height} pixels, at most {MOST_PIXELS} are read")
        except BaseException:
            self.container.close()
            raise
        if self.threads == "AUTO":
            self.stream.thread_type = "AUTO"
        else:
            self.stream.codec_context.thread_count = self.threads
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.container.close()

    def frames(self) -> Iterator[Any]:
        """The decoded frames in the order in which they are shown, without the combs of interlaced ones. Raises Unreadable if there are none."""
        progressive, count = None, 0
        for frame in self._decoded():
            count += 1
            if progressive is None and frame.interlaced_frame and self.as_shown:
                progressive = _Progressive(self.stream)
            yield from (frame,) if progressive is None else progressive(frame)
        if progressive is not None:
            yield from progressive(None)
        if not count:
            raise Unreadable(self.damage or "no frames in it")

    def _decoded(self) -> Iterator[Any]:
        end, last, gap, count = 0.0, None, 0.0, 0
        try:
            for packet in self.container.demux():
                begin = packet.pts if packet.pts is not None else packet.dts
                if packet.is_corrupt:
                    self.damage = "it is cut off or damaged"
                if begin is not None and packet.time_base is not None:
                    time = float(begin * packet.time_base)
                    end = max(end, time + float((packet.duration or 0) * packet.time_base))
                    if packet.stream is self.stream:
                        last, gap, count = time, max(gap, abs(time - (time if last is None else last))), count + 1
                if packet.stream is self.stream:
                    try:
                        yield from packet.decode()
                    except (av.error.InvalidDataError, av.error.EOFError) as error:
                        self.damage = self.damage or f"a frame in it is damaged: {reason(error)}"
        except (av.error.FFmpegError, OSError) as error:
            _raise_of_this_machine(error, self.path)
            self.damage = reason(error)
        short = self._told(count) - end
        if self.damage is None and short > max(MISSING_S, 2 * gap):
            self.damage = f"it ends {short:.1f} s before its end"

    def _told(self, count: int) -> float:
        """When the film ends by its header, in seconds; 0 where that says nothing."""
        if self.container.format.name == "avi":  # whose length is reckoned from its index; the header counts frames
            return float(self.stream.frames / (self.stream.average_rate or Fraction(25)))
        return (self.container.duration or 0) / av.time_base  # from the first frame on, or from 0: the shorter one, so that nothing whole is called short

    def shown_size(self, frame: Any) -> tuple[int, int]:
        """Width and height of a frame with square pixels, before it is turned. Raises Unreadable for absurd ones."""
        width, height = frame.width, frame.height
        shape = (self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio or 1) if self.as_shown else 1
        if shape > 0:
            width, height = (round(width * shape), height) if shape > 1 else (width, round(height / shape))
        if max(width, height) > WIDEST * min(width, height) or width * height > MOST_PIXELS:
            raise Unreadable(f"{width} × {height} pixels, at most {MOST_PIXELS}, and at most {WIDEST} times as long as wide, are read")
        return width, height

    def picture(self, frame: Any, width: int, height: int) -> np.ndarray:
        """A frame scaled to `width` × `height` and then turned as it is shown: uint8 (h, w, 3)."""
        more: dict[str, Any] = {}
        if frame.colorspace == UNTOLD and not frame.format.is_rgb and (frame.height > HD_ROWS or frame.width >= HD_COLUMNS):
            more["src_colorspace"] = Colorspace.ITU709
        if getattr(frame, "color_trc", self.stream.codec_context.color_trc) in (PQ, HLG):
            if not hasattr(frame, "color_trc"):  # older than this package asks for: LeRobot's own loaders bring PyAV 15, which does for LeRobot's videos
                raise Unreadable(f"an HDR film: needs PyAV 17, this is {av.__version__}")
            more |= {"dst_color_trc": BT709, "dst_color_primaries": BT709}
        if any(component.is_alpha for component in frame.format.components):
            whole = on_background(Image.fromarray(self.reformatter.reformat(frame, format="rgba", **more).to_ndarray()))
            small = np.asarray(whole.resize((width, height), Image.Resampling.BOX))
        else:
            small = self.reformatter.reformat(frame, width, height, format="rgb24", interpolation="AREA", **more).to_ndarray()
        return np.ascontiguousarray(turned(small, frame) if self.as_shown else small)


def best(streams: Any) -> Any:
    """The film among the video streams of a file, as players choose: no cover, the one that is marked, the largest, the first. Raises Unreadable."""
    films = [stream for stream in streams if not stream.disposition & NO_FILM and stream.codec_context is not None]
    if not films:
        raise Unreadable("no video in it but a cover" if streams else "no video in it")

    def rank(stream: Any) -> tuple[bool, bool, int]:
        moves = stream.frames > 1 or (stream.frames == 0 and stream.codec_context.name not in STILLS)  # else a cover that is not called so
        return moves, bool(stream.disposition & Disposition.default), stream.width * stream.height

    return max(films, key=rank)


def turned(picture: np.ndarray, frame: Any) -> np.ndarray:
    """As the frame's display matrix says: quarter turns and mirrorings."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None or len(bytes(data)) != 36:
        return picture
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()  # column' = a·column + c·row, row' = b·column + d·row
    if abs(b) + abs(c) > abs(a) + abs(d):
        picture, (a, d) = np.swapaxes(picture, 0, 1), (c, b)
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


class _Progressive:
    """Interlaced frames, of which each second row is of another moment, made whole; the others pass."""

    def __init__(self, stream: Any) -> None:
        self.graph = av.filter.Graph()
        source = self.graph.add_buffer(template=stream, time_base=stream.time_base)
        filters = (source, self.graph.add("bwdif", "mode=send_frame:deint=interlaced"), self.graph.add("buffersink"))
        for before, after in itertools.pairwise(filters):
            before.link_to(after)
        self.graph.configure()

    def __call__(self, frame: Any) -> Iterator[Any]:
        self.graph.push(frame)
        while True:
            try:
                yield self.graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def reason(error: BaseException) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())[:160]


def _raise_of_this_machine(error: BaseException, path: Path) -> None:
    """Raises OSError where it was not the file: too many open files, a broken disk."""
    if is_of_this_machine(error):
        code = int(getattr(error, "errno", 0))
        raise OSError(code, os.strerror(code), str(path)) from None
