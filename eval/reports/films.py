"""Films for a page: of each result folder some videos, failures first, as text that stands in the page itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from envs.video import VideoFile, num_frames
from eval.reports.entries import Entry
from eval.score import Row
from whatwhere.counted import counted
from whatwhere.errors import BadInput
from whatwhere.files import inside, scratch
from whatwhere.film import Film
from whatwhere.picture import Unreadable

MOST_NAMED = 3
POSTER_WIDTH = 560  # what is seen before a film is played, and how wide films are that were made smaller
SMALLER = ("-crf", "30", "-preset", "veryfast", "-threads", "1", "-movflags", "+faststart")


@dataclass(frozen=True)
class Clip:
    """An episode with its film and a picture of it, both as `data:` addresses."""

    row: Row
    film: str
    poster: str


def clips(entries: Sequence[Entry], each: int, room: int, folder: Path) -> tuple[list[list[Clip]], list[str]]:
    """For each of `entries` at most `each` clips, which together have at most `room` letters; and what is to be told of those that are not there.

    Where not all of them fit as they are, all are made smaller (in `folder`, which nothing is left in); then those fit that come first: the first of every
    folder, then the second ones.
    """
    chosen = [_chosen(entry, each) for entry in entries]
    turns = [(i, rows[turn]) for turn in range(each) for i, rows in enumerate(chosen) if turn < len(rows)]
    found: list[list[Clip]] = [[] for _ in entries]
    whole, notes, unread = [], [], []
    for i, row in turns:
        path = _path(entries[i], row)
        whole += [(i, row, path)] if path is not None else []
        unread += [str(entries[i].folder / row["video"])] if path is None else []
    if unread:
        rest = f" and {len(unread) - MOST_NAMED} more" if len(unread) > MOST_NAMED else ""
        notes.append(f"{counted(len(unread), 'video')} that the rows name could not be read (missing, or not whole): {', '.join(unread[:MOST_NAMED])}{rest}.")
    is_smaller = sum(_letters(path.stat().st_size) for _, _, path in whole) > room - 40_000 * len(whole)
    with scratch(folder) as place:
        for done, (i, row, path) in enumerate(whole):
            clip = _clip(row, path, place if is_smaller else None)
            room -= len(clip.film) + len(clip.poster)
            if room < 0:
                notes.append(f"{counted(len(whole) - done, 'video')} of {len(whole)} left out for the page's size.")
                break
            found[i].append(clip)
    if is_smaller:
        notes.append("Videos are made smaller for the page's size; they lie in full in the result folders.")
    return found, notes


def _chosen(entry: Entry, each: int) -> list[Row]:
    """Failures first, and the farthest off of either first."""

    def place(row: Row) -> tuple[bool, float, int]:
        error = row["position_error_cm"]
        return bool(row["success"]), -np.inf if error is None else -float(error), row["episode"]

    return sorted((row for row in entry.rows if row.get("video")), key=place)[:each]


def _path(entry: Entry, row: Row) -> Path | None:
    """The film of an episode; None where it is none that a browser plays, or not whole."""
    try:
        path = inside(entry.folder, row["video"])
    except BadInput:
        return None
    return path if num_frames(path) else None


def _clip(row: Row, path: Path, smaller_in: Path | None) -> Clip:
    poster = io.BytesIO()
    try:
        with Film(path) as film:
            frames = film.frames()
            first = next(frames)
            wide, high = film.shown_size(first)
            width = min(POSTER_WIDTH, wide) // 2 * 2
            height = max(2, round(high * width / wide) // 2 * 2)
            Image.fromarray(film.picture(first, width, height)).save(poster, "JPEG", quality=70)
            if smaller_in is not None:
                rate = float(film.stream.average_rate or 25)
                path = smaller_in / "film.mp4"
                with VideoFile(path, height, width, rate, SMALLER) as video:
                    video.write(film.picture(first, width, height))
                    for frame in frames:
                        video.write(film.picture(frame, width, height))
    except Unreadable as error:
        raise BadInput(f"{path}: {error}") from None
    return Clip(row, _address("video/mp4", path.read_bytes()), _address("image/jpeg", poster.getvalue()))


def _letters(size: int) -> int:
    return 4 * -(-size // 3)


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
