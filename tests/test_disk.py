"""What file systems refuse, and what must not be lost to it."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.disks import ROOT, fill, one_line, run, without_locks
from whatwhere import files
from whatwhere.disk import Held, check_writable, lock, reserve, why_not_writable
from whatwhere.errors import BadInput
from whatwhere.files import append_row, atomic, read_rows, write_json, write_text
from whatwhere.owned import claim, owned

NEEDLESS = [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EROFS]  # what fsync says where there is none
OTHER = "import sys, time; from whatwhere.owned import owned\nwith owned(sys.argv[1]): print('mine', flush=True); time.sleep(60)"


def refuse(code: int) -> Callable[..., None]:
    def refusal(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return refusal


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EIO])
def test_a_file_system_without_locks_is_no_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(code))
    for _ in range(2):
        with owned(tmp_path / str(code), option="cache") as folder:
            write_text(folder / "a", "done")
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"cache={tmp_path / str(code)}" in said and os.strerror(code) in said and "no locks" in said


@pytest.mark.parametrize("code", [errno.EWOULDBLOCK, errno.EACCES])
def test_a_lock_that_is_held_is_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(code))
    with pytest.raises(Held), (tmp_path / "a").open("w") as file:
        lock(file.fileno())
    with pytest.raises(BadInput, match=r"cache=.*another process.*another cache="), owned(tmp_path, option="cache"):
        pass


def test_a_command_runs_where_there_are_no_locks(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", OTHER, str(tmp_path / "out")], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    program = "import sys; from whatwhere.owned import owned\nwith owned(sys.argv[1]): print('mine')"
    try:
        assert other.stdout is not None and other.stdout.readline() == "mine\n"
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, env=os.environ | without_locks(tmp_path)
        )
    finally:
        other.kill()
        other.wait()
    assert done.stdout == "mine\n" and "has no locks" in done.stderr


@pytest.mark.parametrize("code", NEEDLESS)
def test_syncing_that_is_refused_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "fsync", refuse(code))
    write_json(tmp_path / "a.json", [1])
    append_row(tmp_path / "rows.jsonl", {"i": 0})
    with atomic(tmp_path / "folder", folder=True) as folder:
        (folder / "inside").write_text("whole")
    assert (tmp_path / "a.json").exists() and read_rows(tmp_path / "rows.jsonl") == [{"i": 0}]
    assert (tmp_path / "folder" / "inside").read_text() == "whole"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_data_that_did_not_reach_the_disk_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "fsync", refuse(code))
    with pytest.raises(OSError, match=os.strerror(code)):
        write_text(tmp_path / "a", "text")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=os.strerror(code)):
        append_row(tmp_path / "rows.jsonl", {"i": 0})


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV])
def test_a_file_system_that_cannot_rename_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "replace", refuse(code))
    write_text(tmp_path / "a", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_text() == "text"


def test_a_full_disk_is_named_and_loses_nothing(disk: Callable[[int], Path]) -> None:
    folder = disk(64)
    write_text(folder / "a", "old")
    append_row(folder / "rows.jsonl", {"i": 0})
    ballast = fill(folder)
    with pytest.raises(OSError, match="No space left") as error:
        write_text(folder / "a", "new" * 5000)
    assert error.value.filename == str(folder / "a")
    with pytest.raises(OSError, match="No space left") as error:
        append_row(folder / "rows.jsonl", {"i": 1, "text": "x" * 5000})
    assert error.value.filename == str(folder / "rows.jsonl")
    ballast.unlink()
    assert (folder / "a").read_text() == "old"
    append_row(folder / "rows.jsonl", {"i": 2})
    assert read_rows(folder / "rows.jsonl") == [{"i": 0}, {"i": 2}]
    assert sorted(path.name for path in folder.iterdir()) == ["a", "rows.jsonl"]


def test_room_is_reserved_at_once(disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = disk(64)
    for refused in (False, True):
        if refused:
            monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP))
        with (folder / "a").open("wb+") as file:
            file.write(b"abc")
            file.flush()
            reserve(file.fileno(), 10_000)
            assert (folder / "a").read_bytes() == b"abc" + bytes(9_997)
            with pytest.raises(OSError, match="No space left"):
                reserve(file.fileno(), 1 << 20)


def test_a_folder_that_cannot_be_written(tmp_path: Path, sealed: Callable[[Path], Path]) -> None:
    (tmp_path / "open").mkdir()
    with owned(tmp_path / "open") as folder:
        claim(folder, {"kind": "a", "seed": 1})
    folder = sealed(tmp_path / "open")
    with owned(folder):  # what is complete there can be used
        claim(folder, {"kind": "a", "seed": 1})
        with pytest.raises(BadInput, match="now seed=2"):
            claim(folder, {"kind": "a", "seed": 2})
    with pytest.raises(BadInput, match=r"out=.*cannot be written \(Read-only file system\); choose another out="):
        claim(folder, {"kind": "a", "seed": 1}, "other.json")
    with pytest.raises(BadInput, match=r"cache=.*cannot be written"), owned(folder / "new", option="cache"):
        pass
    with pytest.raises(BadInput, match=r"into=.*cannot be written"):
        check_writable("into", folder / "deep" / "deeper")
    assert why_not_writable(tmp_path / "new" / "deep") is None and not (tmp_path / "new").exists()
    assert "Not a directory" in str(why_not_writable(ROOT / "README.md"))


def test_what_killed_writers_left_goes_when_their_folder_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import os, sys; from whatwhere.files import atomic\nwith atomic(sys.argv[1], folder=len(sys.argv) > 2) as path:\n"
    program += "    (path / 'a' if len(sys.argv) > 2 else path).write_text('half'); os.kill(os.getpid(), 9)"
    for words in (["a.txt"], ["folder", "as a folder"]):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / words[0]), *words[1:]], cwd=ROOT, check=False)
        assert [path.name.split(".")[1] for path in tmp_path.iterdir()] == [words[0].split(".")[0]], "of the one before nothing is left"
    elsewhere = tmp_path / ".b.txt.another_machine-999999999-0.tmp"  # its process is not ours to ask for
    elsewhere.touch()
    old = {tmp_path / ".old.txt.999999999-0.tmp", tmp_path / ".old_folder.999999999.tmp"}  # as earlier versions named them, and others may
    for path in old:
        path.mkdir()
    assert len(list(tmp_path.iterdir())) == 4
    monkeypatch.setattr(files, "_cleared", set())
    with atomic(tmp_path / "c.txt") as mine:
        mine.touch()
        assert set(tmp_path.iterdir()) == {elsewhere, mine, *old}
        with owned(tmp_path):
            assert set(tmp_path.iterdir()) == {elsewhere, mine, tmp_path / ".lock"}


def test_names_as_long_as_a_file_system_takes(tmp_path: Path) -> None:
    for name in ("a" * 255, "é" * 127, "𝄞" * 63):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"


GREET = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "example")])}


@pytest.mark.parametrize("arguments", ["times=200000", "--help", "-m name=a,b"])
def test_output_that_cannot_be_written_is_one_line(tmp_path: Path, arguments: str) -> None:
    done = run(shell=f"{{python}} -m greet.run {arguments} > /dev/full", cwd=tmp_path, more=GREET)
    one_line(done, 1, "No space left on device")


def test_a_sweep_in_a_folder_that_cannot_be_written(tmp_path: Path, sealed: Callable[[Path], Path]) -> None:
    (tmp_path / "here").mkdir()
    here = sealed(tmp_path / "here")
    for launcher in ("basic", "joblib"):
        done = run("greet.run", "-m", "name=a,b", f"out={tmp_path / launcher}", f"hydra/launcher={launcher}", cwd=here, more=GREET)
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in (tmp_path / launcher).iterdir()) == ["a-1.txt", "b-1.txt"]
    done = run("greet.run", "-m", "name=a,b", "out=kept", cwd=here, more=GREET)
    one_line(done, 1, "kept", "Read-only file system")


def test_a_full_disk_in_a_thread_is_told_once(tmp_path: Path, disk: Callable[[int], Path]) -> None:
    """TensorBoard writes its curves in a thread of its own."""
    program = "import sys; from tests.disks import fill; from pathlib import Path; from torch.utils.tensorboard import SummaryWriter\n"
    program += "from whatwhere.command import command; sys.path.insert(0, 'tests/example'); import greet.run\n"
    program += "def main(settings):\n    curves = SummaryWriter(sys.argv[1])\n    fill(Path(sys.argv[1]))\n"
    program += "    for step in range(20000): curves.add_scalar('loss', 1.0, step)\n    curves.close()\n"
    program += "command('greet.conf', 'run', greet.run.Settings, main, [])"
    done = subprocess.run([sys.executable, "-c", program, str(disk(64))], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "No space left on device" in done.stderr, done.stderr


@pytest.mark.parametrize("asked", ["flock(", "os.fsync(", "os.fdatasync(", "os.replace(", "os.rename(", ".rename(", '"w+"'])
def test_what_may_be_refused_is_asked_for_in_one_place(asked: str) -> None:
    sources = [path for package in ("whatwhere", "envs", "policy", "eval") for path in (ROOT / package).rglob("*.py")]
    assert {path.name for path in sources if asked in path.read_text(encoding="utf-8")} <= {"disk.py"}


def test_a_killed_sweep_leaves_nobody_behind(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "greet.run", "-m", f"name={','.join('abcd')}", "pause_s=60", f"out={tmp_path / 'out'}", "hydra/launcher=joblib"]
    process = subprocess.Popen(words, cwd=tmp_path, env=os.environ | GREET, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("*.txt"))) < 2:  # at work, side by side
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    workers = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and f"{process.pid}" in _parent(path) and "loky" in _words(path)]
    assert workers
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while [pid for pid in workers if (Path("/proc") / pid / "cmdline").exists() and _words(Path("/proc") / pid)]:
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.05)


def _parent(process: Path) -> list[str]:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[1:2]
    except OSError:
        return []


def _words(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""
