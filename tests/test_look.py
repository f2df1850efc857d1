"""What is looked at before it is opened: nothing that is waited for, or read, for ever."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from whatwhere.errors import BadInput
from whatwhere.files import read_json, read_rows
from whatwhere.look import MOST, SPARSE, Missing, look, read


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket may have some 100 bytes only
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def _sparse(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(b"{")
            file.truncate(size)

    return make


NOT_READ: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "named pipe"),
    "zero": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    "null": (lambda path: path.symlink_to("/dev/null"), "is a device"),
    "folder": (Path.mkdir, "is a folder"),
    "socket": (_socket, "is a socket"),
    "circle": (lambda path: path.symlink_to(path.name), "levels of symbolic links"),
    "terabytes": (_sparse(8 << 40), "is not read"),
    "hole": (_sparse(3 * SPARSE), "hole|is not read"),
}


@pytest.mark.parametrize("name", NOT_READ)
@pytest.mark.parametrize("kind", MOST)
def test_only_regular_files_are_opened(tmp_path: Path, name: str, kind: str) -> None:
    make, says = NOT_READ[name]
    path = tmp_path / "file"
    make(path)
    begin = time.monotonic()
    with pytest.raises(BadInput, match=says) as refused:
        look(path, kind)
    assert not isinstance(refused.value, Missing) and str(refused.value).startswith(f"{path}: ") and time.monotonic() - begin < 1


@pytest.mark.parametrize("name", NOT_READ)
@pytest.mark.parametrize("reader", [read_json, read_rows])
def test_json_and_rows_look_first(tmp_path: Path, name: str, reader: Callable[[Path], object]) -> None:
    make, _ = NOT_READ[name]
    make(tmp_path / "file")
    with pytest.raises(BadInput, match="file: "):
        reader(tmp_path / "file")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no such file"):
        look(tmp_path / "a", "JSON file")
    (tmp_path / "a").symlink_to("b")
    with pytest.raises(Missing, match="a link to a file that is not there"):
        look(tmp_path / "a", "JSON file")
    for name in ("a\0b", "\ud800", "a" * 300, "a/b"):
        with pytest.raises(BadInput):
            look(tmp_path / name, "JSON file")
    if os.geteuid() != 0:
        (tmp_path / "mine").touch(0o000)
        with pytest.raises(BadInput, match="Permission denied"):
            look(tmp_path / "mine", "JSON file")


def test_whole_files_are_read_and_files_without_end_are_not(tmp_path: Path) -> None:
    path = tmp_path / "link"
    (tmp_path / "a").write_bytes(b"abc")
    path.symlink_to("a")
    assert look(path, "picture") == 3 and read(path, "picture") == b"abc"
    assert read("/proc/self/mem", "text file") == b""  # of size 0, and without an end


def test_a_hole_is_no_fault_where_most_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whatwhere.look.SPARSE", 1 << 20)
    for size, fine in ((2 << 20, True), (5 << 20, False)):
        with (tmp_path / "file").open("wb") as file:
            file.write(bytes(2 << 19))
            file.seek(3 << 19)
            file.write(bytes(1 << 19))
            file.truncate(size)
        if fine:
            assert look(tmp_path / "file", "video") == size
        else:
            with pytest.raises(BadInput, match="hole"):
                look(tmp_path / "file", "video")
