"""The book of a folder of demonstrations: which starts were tried, which file is whose. Survives a kill between any two lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from envs.demos.episodes import NAME, read_attrs
from whatwhere.disk import replace
from whatwhere.errors import BadInput
from whatwhere.files import append_row, read_rows, write_text


class Starts:
    """Starts of one seed in order. A start's episode is drafted under the start's number and renamed when all starts before it are known.

    rows: a dict for each start tried, without a gap: episode, success, failure, steps, position_error_cm, init_hash; of multiplied
    demonstrations segments.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the book and mends it after a crash. Raises BadInput if a file in the folder is damaged or belongs to another start."""
        from envs.demos.records import Start  # where a file is read, not where a command starts

        self.folder, self.book = folder, folder / "starts.jsonl"
        for torn in folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):  # a folder that can only be read
                torn.unlink()
        rows = {row["episode"]: row for row in read_rows(self.book, Start)}
        self.rows = [rows[start] for start in range(len(rows)) if start in rows]
        files = {int(match[1]): path for path in folder.iterdir() if (match := NAME.fullmatch(path.name))}
        succeeded = [row["episode"] for row in self.rows if row["success"]]
        for number, path in sorted(files.items()):
            attrs = read_attrs(path)
            if number == len(succeeded) and attrs["episode"] == len(self.rows):  # renamed, then killed before its row was written
                self._book(row_of(attrs))
            elif number >= len(succeeded) or attrs["episode"] != succeeded[number]:
                raise BadInput(f"{path}: is of start {attrs['episode']}, which does not match {self.book.name}; move it away or choose another out=")
        self.lost = [start for number, start in enumerate(succeeded) if number not in files]  # deleted since: played again
        self.waiting: dict[int, dict[str, Any]] = {}

    @staticmethod
    def draft(folder: Path, start: int) -> Path:
        return folder / f".start_{start}.hdf5"

    @property
    def num_files(self) -> int:
        return sum(row["success"] for row in self.rows) - len(self.lost)

    def wanted(self, n: int) -> bool:
        return self.num_files < n or bool(self.lost)

    def next(self, n: int, running: Collection[int]) -> int | None:
        """The next start to play so that n files come of it and never more; None if those running may be enough."""
        if again := [start for start in self.lost if start not in running]:
            return again[0]
        promised = sum(row["success"] for row in self.waiting.values()) + sum(start not in self.lost for start in running)
        if self.num_files + len(self.lost) + promised >= n:
            return None
        start = len(self.rows)
        while start in running or start in self.waiting:
            start += 1
        if self.draft(self.folder, start).exists():  # finished by a run that was killed
            self.add(row_of(read_attrs(self.draft(self.folder, start))))
            return self.next(n, running)
        return start

    def add(self, row: dict[str, Any]) -> None:
        """Takes the outcome of a start; files and rows appear in the order of the starts."""
        if row["episode"] in self.lost:
            number = sum(known["success"] for known in self.rows[: row["episode"]])
            if not row["success"]:
                raise BadInput(f"{self.folder}: start {row['episode']} succeeded before and fails now: has a version of the simulator changed?")
            self._rename(row["episode"], number)
            self.lost.remove(row["episode"])
            return
        self.waiting[row["episode"]] = row
        while (start := len(self.rows)) in self.waiting:
            row = self.waiting.pop(start)
            if row["success"]:
                self._rename(start, sum(known["success"] for known in self.rows))
            self._book(row)

    def undo(self, folder: Path) -> dict[str, Any] | None:
        """Takes back the last start that was tried; its file, if it succeeded, goes to `folder` as the next `episode_<i>.hdf5`. Returns its row.

        Killed in between, the start counts as tried again when the book is next read: nothing is lost.
        """
        if not self.rows:
            return None
        row = self.rows[-1]
        number, target = sum(known["success"] for known in self.rows[:-1]), next_free(folder)
        target.parent.mkdir(exist_ok=True)
        write_text(self.book, "".join(json.dumps(known, ensure_ascii=False) + "\n" for known in self.rows[:-1]))
        self.rows.pop()
        if row["success"] and row["episode"] not in self.lost:
            replace(self.folder / f"episode_{number}.hdf5", target)
        elif row["success"]:
            self.lost.remove(row["episode"])
        return row

    def _rename(self, start: int, number: int) -> None:
        replace(self.draft(self.folder, start), self.folder / f"episode_{number}.hdf5")

    def _book(self, row: dict[str, Any]) -> None:
        append_row(self.book, row)
        self.rows.append(row)


def next_free(folder: Path) -> Path:
    """The first name episode_<i>.hdf5 after those in `folder`."""
    taken = [int(match[1]) for path in folder.glob("episode_*.hdf5") if (match := NAME.fullmatch(path.name))]
    return folder / f"episode_{max(taken, default=-1) + 1}.hdf5"


def row_of(attrs: dict[str, Any]) -> dict[str, Any]:
    """The row of a start whose episode lies there finished."""
    row = {"episode": attrs["episode"], "success": True, "failure": None} | {name: attrs.get(name) for name in ("steps", "position_error_cm", "init_hash")}
    return row | ({"segments": attrs["multiplied"]["segments"]} if "multiplied" in attrs else {})
