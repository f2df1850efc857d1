"""Conversion on disks that fill up, from files that others have open, and killed: who is at fault is said, and nothing half done is left."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from envs.demos.episodes import read_attrs, read_episode
from envs.demos.formats import FORMATS, Reading, open_source, robomimic_foreign
from tests.disks import ROOT, fill, one_line, run, without_locks
from tests.envs.demos.demo_files import write_folder, write_robomimic
from whatwhere.errors import BadInput

pytest.importorskip("pyarrow")
INSPECT = "import sys; from envs.demos.formats import open_source\nwith open_source(sys.argv[1]) as source: print(source.header(0)['steps'])"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sources")
    folder = write_folder(root / "folder")
    for to in ("robomimic", "lerobot"):
        assert run("envs.demos.convert", f"src={folder}", f"out={root / to}.hdf5", f"to={to}").returncode == 0
    return {"folder": folder, "robomimic": root / "robomimic.hdf5", "lerobot": root / "lerobot.hdf5"}


@pytest.mark.parametrize("to", [*FORMATS, "video"])
@pytest.mark.parametrize("leave", [12_000, *(pytest.param(more, marks=pytest.mark.slow) for more in (0, 40_000))])
def test_a_full_disk_is_no_damage_of_the_source(sources: dict[str, Path], disk: Callable[[int], Path], to: str, leave: int) -> None:
    """In the head, among the demonstrations, or at the end; the source is read while the output is written."""
    folder = disk(1024)
    ballast = fill(folder, leave)
    source = sources["robomimic" if to in ("folder", "lerobot") else "folder"]
    words = [f"src={source}", f"out={folder / 'out'}", *(["to=lerobot", "pictures=video"] if to == "video" else [f"to={to}"])]
    done = run("envs.demos.convert", *words)
    one_line(done, 1, str(folder / "out"), "No space left on device")
    assert str(source) not in done.stderr
    assert not [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".mp4", ".parquet"))]
    assert (folder / "out").exists() == (to == "folder"), "a folder of episodes carries on"
    ballast.unlink()
    done = run("envs.demos.convert", *words)
    assert done.returncode == 0, done.stderr
    with open_source(folder / "out") as written:
        assert [written.header(index)["steps"] for index in range(len(written))] == [10, 11, 12]


def test_a_file_that_another_program_writes_is_said_to_be(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "a.hdf5")
    program = "import sys, h5py, time\nfile = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        done = run("envs.demos.inspect", str(path), f"out={tmp_path / 'page.html'}")
        one_line(done, 2, f"{path}: another program has it open for writing", "Resource temporarily unavailable", "errno = 11")
        assert "whole" not in done.stderr and len(done.stderr.splitlines()) == 1
    finally:
        other.kill()
        other.wait()
    with open_source(path) as source:
        assert len(source) == 3


def test_a_file_that_was_never_closed_is_said_to_be(tmp_path: Path) -> None:
    """By a program that ended in the midst of writing; HDF5 leaves a mark."""
    program = (
        "import os, sys, h5py\nfile = h5py.File(sys.argv[1], 'w', libver='latest'); file.create_group('data').create_group('demo_0'); file.flush(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.hdf5")], check=False)
    with pytest.raises(BadInput, match=r"was ended before it had closed it.*h5clear"), open_source(tmp_path / "a.hdf5"):
        pass


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_reading_and_writing_need_no_locks(tmp_path: Path, sources: dict[str, Path], code: int) -> None:
    more = without_locks(tmp_path, code)
    for path in sources.values():
        done = run(shell=f'{{python}} -c "{INSPECT}" {path}', more=more)
        assert done.stdout == "10\n", done.stderr
    done = run("envs.demos.convert", f"src={sources['folder']}", f"out={tmp_path / 'out.hdf5'}", "to=robomimic", more=more)
    assert done.returncode == 0 and read_steps(tmp_path / "out.hdf5") == [10, 11, 12], done.stderr


def read_steps(path: Path) -> list[int]:
    with open_source(path) as source:
        return [len(source.episode(index)) for index in range(len(source))]


@pytest.mark.parametrize("hdf5_locking", ["TRUE", "FALSE", "BEST_EFFORT"])
def test_the_users_own_word_on_locking_counts(tmp_path: Path, sources: dict[str, Path], hdf5_locking: str) -> None:
    more = without_locks(tmp_path) | {"HDF5_USE_FILE_LOCKING": hdf5_locking}
    done = run(shell=f'{{python}} -c "{INSPECT}" {sources["robomimic"]}', more=more)
    assert done.stdout == "10\n", done.stderr


def test_what_ails_the_machine_is_no_damage_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files; a renderer that fails."""
    path = write_folder(tmp_path / "demos", 1) / "episode_0.hdf5"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    handles = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (handles[-1] + 1, hard))
    try:
        for reading in (read_attrs, read_episode):
            with pytest.raises(OSError, match="Too many open files"):
                reading(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for handle in handles:
            os.close(handle)
    assert read_attrs(path)["steps"] == 10

    class Broken:
        def __init__(self, *_: object) -> None:
            raise RuntimeError("no context")

    monkeypatch.setattr(robomimic_foreign, "Drawer", Broken)
    foreign = write_robomimic(tmp_path / "a.hdf5")
    with open_source(foreign, Reading(draw=("agentview",))) as source, pytest.raises(RuntimeError, match="no context"):
        source.episode(0)
    with pytest.raises(KeyError, match="mine"), open_source(foreign):
        raise KeyError("mine")


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_is_left_of_a_conversion_that_was_killed(tmp_path: Path, to: str) -> None:
    folder, out = write_folder(tmp_path / "demos", 30), tmp_path / "there" / "out"
    words = [f"src={folder}", f"out={out}", f"to={to}"]
    process = subprocess.Popen([sys.executable, "-m", "envs.demos.convert", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(10):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while to == "folder" and not out.exists():
        assert time.monotonic() < deadline
    assert to == "folder" or [path.name for path in out.parent.iterdir()] != ["out"]
    done = run("envs.demos.convert", *words)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert not [path for path in out.parent.rglob(".*") if path.name != ".lock"]
    assert len(read_steps(out)) == 30


def test_an_hdf5_file_on_a_full_disk_never_ends_the_process(disk: Callable[[int], Path]) -> None:
    from envs.demos.sink import Sink

    folder, noise = disk(512), os.urandom(60_000)
    for size in (16_000, 100_000, 300_000, 480_000):
        ballast = fill(folder, size)
        with pytest.raises(OSError, match="No space left"), Sink(folder / "a.hdf5") as sink, h5py.File(sink, "w") as file:  # noqa: PT012
            for number in range(12):
                file.create_group(f"demo_{number}").attrs["text"] = "x" * 20_000
                file[f"demo_{number}/noise"] = list(noise[:50_000])
        ballast.unlink()
    with Sink(folder / "a.hdf5") as sink, h5py.File(sink, "w") as file:
        file["a"] = [1, 2, 3]
    with h5py.File(folder / "a.hdf5") as file:
        assert list(file["a"]) == [1, 2, 3]  # pyright: ignore
