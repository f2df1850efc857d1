"""The films, picture sequences and single pictures in a folder, and what else lies there."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from whatwhere.counted import counted
from whatwhere.errors import BadInput
from whatwhere.look import look
from whatwhere.picture import DAMAGE, READ

FILMS = """
.mp4 .m4v .mov .qt .3gp .3g2 .mkv .webm .avi .divx .wmv .asf .mpg .mpeg .mpe .m1v .m2v .vob .ts .mts .m2ts .ogv .ogm .flv .f4v .mxf .dv .nut .rm .rmvb
.wtv .ivf .h264 .264 .h265 .265 .hevc .obu .mjpg .mjpeg .y4m
""".split()  # noqa: SIM905
PICTURES = """
.png .jpg .jpeg .jpe .jfif .bmp .dib .webp .tif .tiff .ppm .pgm .pbm .pnm .avif .jp2 .j2k .jpx .jpf .jpc .j2c .tga .qoi
""".split()  # noqa: SIM905
ANIMATIONS = (".gif", ".apng", ".avifs")  # pictures that are never one of a sequence; others may turn out to move, too
PLAY = "frames.npy"
NAMED = 8  # kinds of files passed over that are named one by one


@dataclass(frozen=True)
class Item:
    """A video file, a picture, or a folder of pictures that are the frames of a clip. `name` is its path below the data folder."""

    name: str
    files: tuple[Path, ...]

    @property
    def is_film(self) -> bool:
        """Whether it is FFmpeg that reads it."""
        return self.files[0].suffix.lower() in FILMS


@dataclass
class Listing:
    """What lies below a folder: `items` by name, and how many files of each ending are passed over (`hidden`: those, and hidden folders)."""

    items: list[Item] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    closed: list[str] = field(default_factory=list)  # folders that may not be looked into

    def line(self) -> str:
        """What is passed over, in a line; empty if nothing is."""
        kinds = self.passed_over.most_common()
        parts = [f"{count} {ending or 'without an ending'}" for ending, count in kinds[:NAMED]]
        if rest := sum(count for _, count in kinds[NAMED:]):
            parts.append(f"{rest} of other kinds")
        if self.hidden:
            parts.append(f"{self.hidden} hidden")
        if self.closed:
            parts.append(f"what is in {counted(len(self.closed), 'folder')} that may not be opened ({self.closed[0]})")
        return f"passed over, since not read as videos or pictures: {', '.join(parts)}" if parts else ""


def find_items(folder: str | Path, image_folders: str = "auto") -> Listing:
    """What lies below `folder`, at any depth, by name. Hidden files and folders, and other kinds of file, are counted.

    `image_folders`: pictures that lie in one folder are the frames of a `clip`, or `images` of their own; `auto`: a clip if they are numbered
    without a gap, of one size, and none of them moves.
    """
    root, found, visited = Path(folder), Listing(), set()
    for place, folders, files in os.walk(root, followlinks=True, onerror=lambda error: found.closed.append(str(error.filename))):
        real = os.path.realpath(place)
        if real in visited:  # a link that leads back up
            folders[:] = []
            continue
        visited.add(real)
        found.hidden += sum(name.startswith(".") for name in (*folders, *files))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(place) / name for name in sorted(files) if not name.startswith(".")]
        single, pictures = [], []
        for path in paths:
            ending = path.suffix.lower()
            if ending in PICTURES:
                pictures.append(path)
            elif ending in FILMS or ending in ANIMATIONS:
                single.append(path)
            elif PLAY not in files and not (Path(place).name == "labels" and (Path(place).parent / PLAY).exists()):  # play is read by itself
                found.passed_over[ending] += 1
        if len(pictures) > 1 and (image_folders == "clip" or (image_folders == "auto" and _is_sequence(pictures))):
            found.items.append(Item(Path(place).relative_to(root).as_posix(), tuple(sorted(pictures, key=_number))))
        else:
            single += pictures
        found.items += [Item(path.relative_to(root).as_posix(), (path,)) for path in single]
    found.items.sort(key=lambda item: item.name)
    return found


def _number(path: Path) -> tuple[str, int, str]:
    """Sorts frame_2 before frame_10."""
    found = re.fullmatch(r"(.*?)(\d{1,18})", path.stem)
    return (found[1], int(found[2]), path.name) if found else (path.stem, -1, path.name)


def _is_sequence(pictures: list[Path]) -> bool:
    keys = sorted(_number(path) for path in pictures)
    first = keys[0][1]
    if first < 0 or [(stem, number) for stem, number, _ in keys] != [(keys[0][0], first + i) for i in range(len(keys))]:
        return False
    sizes = set()
    for path in pictures:
        with contextlib.suppress(BadInput, *DAMAGE):  # named when it is decoded
            look(path, "picture")
            with Image.open(path, formats=READ) as image:  # reads the header alone
                if getattr(image, "is_animated", False) and image.format != "MPO":
                    return False
                sizes.add(image.size)
    return len(sizes) == 1
