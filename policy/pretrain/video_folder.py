"""A folder of videos and pictures, decoded once into uint8 files that training maps into memory."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np
from jaxtyping import UInt8
from msgspec import Meta

from policy.pretrain.decode import Unreadable, frames
from policy.pretrain.listing import Item, Listing, find_items
from whatwhere.counted import counted
from whatwhere.disk import check_writable, why_not_writable
from whatwhere.errors import BadInput, is_of_this_machine
from whatwhere.files import append_row, atomic, clear_leftovers, read_rows, sha256
from whatwhere.look import look
from whatwhere.schema import Count, Text

DECODER = 2  # another number: decoded otherwise, so not read from the old cache
OPEN_FILES = 512  # mapped at once
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z", description="32 hexadecimal digits")]


class Decoded(TypedDict):
    """A row of `cache/index.jsonl`: what a file of the footage became."""

    stat: Digest
    key: Digest
    shape: tuple[Count, Count, Count]  # t h w
    notes: NotRequired[list[Text]]  # what of the file is not read


class VideoFolder:
    """Footage of a folder (policy.pretrain.footage). `cache` holds a file of raw frames an item, named by what the item's files hold and how they were
    decoded: whole or absent, shared by runs, and a killed run goes on where it stopped. A file that cannot be read is named and left out, one that can be
    read in part is named; what is no footage is counted. `white`: see `whatwhere.picture`.

    Raises BadInput if nothing is left, and with `strict` at the first file that cannot be read whole.
    """

    def __init__(
        self,
        folder: str | Path,
        cache: str | Path,
        short_px: int,
        fps: float | None = None,
        image_folders: str = "auto",
        strict: bool = False,
        threads: int = 1,
        white: float | None = None,
        listing: Listing | None = None,
    ) -> None:
        self.folder, self.cache = Path(folder), Path(cache)
        self.decoding = {"short_px": short_px, "fps": fps, "white": white, "decoder": DECODER}
        listing = find_items(folder, image_folders) if listing is None else listing
        items = listing.items
        if listing.line():
            print(f"data={folder}: {listing.line()}", file=sys.stderr)
        self.names: list[str] = []
        self.shapes: list[tuple[int, int, int]] = []
        self.keys: list[str] = []
        self.skipped: list[str] = []
        for name, found in self._decoded(items, max(1, threads)):
            if isinstance(found, Unreadable):
                line = f"data={folder}: {name}: cannot be read ({found})"
                if strict:
                    raise BadInput(f"{line}; remove it, or give strict=false to leave it out")
                print(f"{line}; left out", file=sys.stderr)
                self.skipped.append(name)
                continue
            for note in found.get("notes", ()):
                line = f"data={folder}: {name}: read in part ({note})"
                if strict:
                    raise BadInput(f"{line}; repair or remove it, or give strict=false to take what there is")
                print(f"{line}; {counted(found['shape'][0], 'frame')} taken", file=sys.stderr)
            self.names.append(name)
            self.shapes.append((found["shape"][0], found["shape"][1], found["shape"][2]))
            self.keys.append(found["key"])
        if not self.names:
            raise BadInput(f"data={folder}: no video or picture in it that can be read ({counted(len(items), 'file')} tried)")
        self._open = functools.lru_cache(OPEN_FILES)(self._map)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "t h w 3"]:
        return self._open(index)

    def _map(self, index: int) -> np.ndarray:
        return np.memmap(self._path(self.keys[index]), np.uint8, "c", shape=(*self.shapes[index], 3))

    def _path(self, key: str) -> Path:
        return self.cache / f"{key}.rgb"

    def _decoded(self, items: list[Item], threads: int) -> Iterator[tuple[str, dict[str, Any] | Unreadable]]:
        """Each item's name with its row {"stat", "key", "shape"}, or why there is none. New rows go to `cache/index.jsonl`."""
        clear_leftovers(self.cache)
        rows = [row for row in read_rows(self.cache / "index.jsonl", Decoded) if self._is_whole(row)]
        by_stat, by_key = {row["stat"]: row for row in rows}, {row["key"]: row for row in rows}
        begin, new = time.monotonic(), 0
        with ThreadPoolExecutor(threads) as pool:
            try:
                for number, (item, row) in enumerate(zip(items, pool.map(lambda item: self._row(item, by_stat, by_key), items), strict=True), 1):
                    if isinstance(row, dict) and row["stat"] not in by_stat:
                        if row["key"] not in by_key or why_not_writable(self.cache) is None:  # a whole cache that can only be read is used as it is
                            append_row(self.cache / "index.jsonl", row)
                        by_stat[row["stat"]] = by_key[row["key"]] = row
                        new += 1
                    if new and (time.monotonic() - begin > 2 or number == len(items)):
                        print(f"\rdecoded {number}/{len(items)} ", end="\n" if number == len(items) else "", file=sys.stderr, flush=True)
                        begin = time.monotonic()
                    yield item.name, row
            finally:
                pool.shutdown(cancel_futures=True)

    def _is_whole(self, row: dict[str, Any]) -> bool:
        path = self._path(row["key"])
        return path.exists() and path.stat().st_size == 3 * math.prod(row["shape"])

    def _row(self, item: Item, by_stat: dict[str, dict[str, Any]], by_key: dict[str, dict[str, Any]]) -> dict[str, Any] | Unreadable:
        try:
            for path in item.files:
                look(path, "video" if item.is_film else "picture")
            stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in item.files]
            stat = _digest([stats, self.decoding])
            if stat in by_stat:  # the very files seen before: not read again
                return by_stat[stat]
            key = _digest([[sha256(path) for path in item.files], item.is_film, self.decoding])
        except BadInput as error:
            return Unreadable(str(error).removeprefix(f"{item.files[0]}: "))
        except OSError as error:
            if is_of_this_machine(error):
                raise
            return Unreadable(error.strerror)
        if key in by_key:
            return {**by_key[key], "stat": stat}
        check_writable("cache", self.cache)
        count, shape, notes = 0, (0, 0), []
        try:
            with atomic(self._path(key)) as temporary, temporary.open("wb") as file:
                for frame in frames(item, **{name: self.decoding[name] for name in ("short_px", "fps", "white")}, notes=notes):
                    file.write(frame.tobytes())
                    count, shape = count + 1, frame.shape[:2]
        except Unreadable as error:
            return error
        return {"stat": stat, "key": key, "shape": [count, *shape], "notes": notes}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
