"""Files that survive a crash: what is on disk is whole, and what is torn is dropped."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from whatwhere.errors import BadInput
from whatwhere.files import append_row, atomic, path_name, read_json, read_rows, sha256, write_json, write_text

ROOT = Path(__file__).resolve().parents[1]


def test_atomic_replaces_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_who_may_read_what_was_written_is_what_the_umask_says(mask: int, tmp_path: Path) -> None:
    """Whatever the library that wrote it chose: safetensors lets nobody else read."""
    before = os.umask(mask)
    try:
        with atomic(tmp_path / "weights") as path:
            path.touch(0o600)
        with atomic(tmp_path / "folder", folder=True) as path:
            (path / "weights").touch(0o600)
            (path / "script").touch(0o700)
            (path / "link").symlink_to(tmp_path / "weights")
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("weights", "folder/weights")} == {0o666 & ~mask}
    assert (tmp_path / "folder" / "script").stat().st_mode & 0o777 == 0o700 | (0o666 & ~mask)


@pytest.mark.parametrize("has_links", [True, False])
def test_atomic_keeps_what_another_process_made_meanwhile(has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader's file is not taken from under it; on a file system without links the later one replaces it."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a"
    with atomic(path, keep=True) as mine:
        mine.write_text("mine")
        with atomic(path, keep=True) as theirs:
            theirs.write_text("theirs")
        first = path.stat().st_ino
    assert path.read_text() == ("theirs" if has_links else "mine") and (path.stat().st_ino == first) == has_links
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_atomic_leaves_nothing_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_json_round_trip_and_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"Größe": [1, 2.5, None]})
    assert read_json(path) == {"Größe": [1, 2.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    with pytest.raises(BadInput, match="no such file"):
        read_json(tmp_path / "b.json")
    for damaged in (b'{"a": ', b"\xff\xfe\x00"):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"a\.json"):
            read_json(path)
    with pytest.raises(BadInput, match="is a folder"):
        read_json(tmp_path)


def test_rows_survive_any_tear(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert read_rows(path) == []
    rows = [{"i": i, "text": "ü\u2028\u0085"} for i in range(3)]  # two signs that str.splitlines() takes for ends of lines
    for row in rows:
        append_row(path, row)
    assert read_rows(path) == rows
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = read_rows(path)
        assert kept == rows[: len(kept)] and len(kept) >= whole[:length].count(b"\n")
        append_row(path, {"i": "next"})
        assert read_rows(path) == [*kept, {"i": "next"}]


def test_rows_have_a_length(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"i": 0}\n{"i": "' + "x" * (1 << 20) + '"}\n')
    with pytest.raises(BadInput, match=r"rows\.jsonl, line 2: 10485\d\d bytes; a row has at most 1048576"):
        read_rows(tmp_path / "rows.jsonl")


def test_a_row_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    program = "import itertools, sys; from whatwhere.files import append_row\n"
    program += "for i in itertools.count(): append_row(sys.argv[1], {'i': i}); print(i, flush=True)"
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    told = [int(line) for line in process.communicate(timeout=30)[0].split("\n") if line]
    kept = [row["i"] for row in read_rows(path)]
    assert kept == list(range(len(kept))) and len(told) <= len(kept) <= len(told) + 1


def test_a_name_is_no_way_up() -> None:
    names = {"robosuite/Lift": "robosuite_Lift", "my_module:MyTask": "my_module_MyTask", "..": "__", ".": "_", "../..": ".._..", "a.b": "a.b"}
    assert {name: path_name(name) for name in names} == names


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_two_writers_of_one_file_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    threads = [threading.Thread(target=lambda i=i: [write_text(path, str(i) * 50_000) for _ in range(20)]) for i in range(2)]
    errors: list[object] = []
    before, threading.excepthook = threading.excepthook, lambda details: errors.append(details.exc_value)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = before
    assert not errors
    assert path.read_text() in ("0" * 50_000, "1" * 50_000)
    assert os.listdir(tmp_path) == ["a.txt"]
