"""What is left of an episode after a kill, a full disk or a torn line."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envs.demos import journal
from envs.demos.journal import Journal
from tests.disks import fill

HEADER = {"seed": 0, "start": 3}


def row(step: int) -> dict[str, Any]:
    return {"action": [0.1 * step, -1 / 3], "state": [step + 1e-17, 2.0**-1074], "proprio": []}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    one = Journal(tmp_path / "journal", HEADER)
    for step in range(5):
        one.add(row(step))
        assert journal.read(tmp_path / "journal") == (HEADER, [row(known) for known in range(step + 1)])
    one.close()
    one.close()
    again = Journal(tmp_path / "journal", HEADER, [row(0)])
    again.add(row(1))
    assert journal.read(tmp_path / "journal") == (HEADER, [row(0), row(1)])
    again.remove()
    assert journal.read(tmp_path / "journal") is None and not list(tmp_path.iterdir())


def test_nothing_but_a_torn_or_damaged_end_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    one = Journal(path, HEADER)
    for step in range(4):
        one.add(row(step))
    one.close()
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        found = journal.read(path)
        lines = sum(end <= length for end in ends)
        assert found == (None if not lines else (HEADER, [row(step) for step in range(lines - 1)]))
    for position in random.Random(0).sample(range(len(whole)), 100):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << random.Random(position).randrange(8)
        path.write_bytes(damaged)
        found = journal.read(path)
        before = sum(end <= position for end in ends)
        assert found == (None if not before else (HEADER, [row(step) for step in range(before - 1)]))
    path.write_bytes(b"\0" * 5000)
    assert journal.read(path) is None


def test_a_full_disk_leaves_whole_lines_and_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Journal(tmp_path / "journal", HEADER)
    one.add(row(0))
    write, calls = os.write, []

    def full(handle: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return write(handle, data[:7])  # what still fitted
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        one.add(row(1))
    assert journal.read(tmp_path / "journal") == (HEADER, [row(0)])
    monkeypatch.undo()
    one.add(row(1))
    assert journal.read(tmp_path / "journal") == (HEADER, [row(0), row(1)])
    one.close()


def test_a_journal_that_cannot_be_begun_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal(tmp_path / "journal", HEADER, [row(0)]).close()

    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        Journal(tmp_path / "journal", HEADER, [row(0), row(1)])
    assert journal.read(tmp_path / "journal") == (HEADER, [row(0)])
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


def test_a_disk_that_fills_loses_no_row_that_it_told_of(disk: Callable[[int], Path]) -> None:
    folder = disk(64)
    one, told = Journal(folder / "journal", HEADER), []
    fill(folder, leave=20_000)
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012
        for step in range(10_000):
            one.add(row(step))
            told.append(row(step))
    assert told and journal.read(folder / "journal") == (HEADER, told)
    (folder / "ballast").unlink()
    one.add(row(-1))
    assert journal.read(folder / "journal") == (HEADER, [*told, row(-1)])
    one.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_says_late_that_it_lost_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """As a share does when it is full: writing succeeds, syncing does not."""
    one, deadline = Journal(tmp_path / "journal", HEADER), time.monotonic() + 20

    def fails(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    one.add(row(0))
    while one._lost is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(OSError, match=os.strerror(code)):
        one.add(row(1))
    content = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(content[:-10] + bytes(10))  # what the disk lost
    monkeypatch.undo()
    one.add(row(1))
    one.close()
    assert journal.read(tmp_path / "journal") == (HEADER, [row(0), row(1)])


def test_a_disk_that_cannot_sync_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(handle: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", refuses)
    one = Journal(tmp_path / "journal", HEADER)
    for step in range(3):
        one.add(row(step))
    one.close()
    assert one._lost is None and journal.read(tmp_path / "journal") == (HEADER, [row(step) for step in range(3)])


def test_a_killed_process_loses_no_row_that_it_told_of(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from envs.demos.journal import Journal\none = Journal(Path(sys.argv[1]), {})\nstep = 0\n"
    program += "while True:\n    one.add({'step': step, 'more': [0.5] * 60}); step += 1; print(step, flush=True)"
    clock = random.Random(1)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "journal")], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(clock.randrange(1, 400)):
            told = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = journal.read(tmp_path / "journal")
        assert found is not None and [line["step"] for line in found[1]] == list(range(len(found[1])))
        assert len(found[1]) >= told
