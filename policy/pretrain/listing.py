"""The videos, picture sequences and single pictures in a folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

VIDEOS = (".mp4", ".avi", ".webm", ".gif", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".ogv")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


@dataclass(frozen=True)
class Item:
    """A video file, a picture, or a folder of pictures that are the frames of a clip. `name` is its path below the data folder."""

    name: str
    files: tuple[Path, ...]

    @property
    def is_video(self) -> bool:
        return self.files[0].suffix.lower() in VIDEOS


def find_items(folder: str | Path, image_folders: str = "auto") -> list[Item]:
    """What lies below `folder`, at any depth, by name. Hidden files, folders and other kinds of file are left out.

    `image_folders`: pictures that lie in one folder are the frames of a `clip`, or `images` of their own; `auto`: a clip if they are numbered
    without a gap and of one size.
    """
    root = Path(folder)
    items, visited = [], set()
    for place, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if real not in visited else []
        if real in visited:  # a link that leads back up
            continue
        visited.add(real)
        paths = [Path(place) / name for name in sorted(files) if not name.startswith(".")]
        items += [Item(path.relative_to(root).as_posix(), (path,)) for path in paths if path.suffix.lower() in VIDEOS]
        pictures = [path for path in paths if path.suffix.lower() in IMAGES]
        if len(pictures) > 1 and (image_folders == "clip" or (image_folders == "auto" and _is_sequence(pictures))):
            name = Path(place).relative_to(root).as_posix()
            items.append(Item(name, tuple(sorted(pictures, key=_number))))
        else:
            items += [Item(path.relative_to(root).as_posix(), (path,)) for path in pictures]
    return sorted(items, key=lambda item: item.name)


def _number(path: Path) -> tuple[str, int, str]:
    """Sorts frame_2 before frame_10."""
    found = re.fullmatch(r"(.*?)(\d+)", path.stem)
    return (found[1], int(found[2]), path.name) if found else (path.stem, -1, path.name)


def _is_sequence(pictures: list[Path]) -> bool:
    keys = sorted(_number(path) for path in pictures)
    first = keys[0][1]
    if first < 0 or [(stem, number) for stem, number, _ in keys] != [(keys[0][0], first + i) for i in range(len(keys))]:
        return False
    sizes = set()
    for path in pictures:
        try:
            with Image.open(path) as image:  # reads the header alone
                sizes.add(image.size)
        except (OSError, ValueError, SyntaxError):
            continue  # named when it is decoded
    return len(sizes) == 1
