"""Killed at random moments of recording, out of disk, told to hang up: what was saved is whole, and the episode that was being recorded goes on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from envs.demos import journal
from envs.demos.episodes import read_episode
from envs.demos.starts import Starts
from envs.teleop.take import JOURNAL
from whatwhere.files import read_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

MOST_LOST = 20
# Begets collectors, one for each line of arguments: the simulator is made once and not fifty times. Nothing is drawn, since no OpenGL context survives a fork:
# a picture is one colour that follows from the joint positions. They are somewhat slower than other collectors, and have a witness of their own: after every
# control step start and number of steps are noted there.
NURSERY = """
import json, os, struct, sys, time
from zlib import crc32

import numpy as np

import envs
from envs.rendering import prepare_gl

prepare_gl()
import envs.robosuite_env
import envs.teleop.session
from envs.demos import collect
from whatwhere.command import command

class Painter:
    def __init__(self, model, mode): pass
    def draw(self, data, camera, height, width): return np.full((height, width, 3), crc32(data.qpos.tobytes() + camera.encode()) % 256, np.uint8)
    def views(self, data, cameras, *size): return np.stack([self.draw(data, camera, *size) for camera in cameras])
    def close(self): pass

envs.robosuite_env.Renderer = Painter
env = envs.make("pick_at_xy", size=16)
envs.make = lambda task, **options: env
env.close = lambda: None
advance = env.advance
print("ready", flush=True)
for line in sys.stdin:
    path, *arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        witness = os.open(path, os.O_CREAT | os.O_WRONLY)

        def witnessed(action):
            told = advance(action)
            os.pwrite(witness, struct.pack("<qq", env._episode, env._steps), 0)
            time.sleep(0.02)
            return told

        env.advance = witnessed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        command("envs.conf", "collect", collect.Settings, collect.main, arguments)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    def __init__(self) -> None:
        self._parent = subprocess.Popen([sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._told() == "ready"

    def _told(self) -> str:
        assert self._parent.stdout is not None
        return self._parent.stdout.readline().strip()

    def beget(self, *arguments: str) -> int:
        """The process id of a new collector."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps(arguments) + "\n")
        self._parent.stdin.flush()
        return int(self._told())

    def end_of_child(self) -> int:
        """Its status; 0 if it ended by itself."""
        return int(self._told())

    def close(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()  # ends when its child has ended
        self._parent.wait(600)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    one = Nursery()
    yield one
    one.close()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "envs.demos.collect", "task=pick_at_xy", *arguments], capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commands for four starts."""
    folder = tmp_path_factory.mktemp("recorded") / "expert"
    done = run("n=4", "noise=0", "slips=0", "size=16", f"out={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def arguments(recorded: Path, out: Path) -> list[str]:
    return ["source=file", f"commands={recorded}", "n=4", "size=16", "recover=true", f"out={out}"]


@pytest.fixture(scope="module")
def whole(nursery: Nursery, recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What comes of them if nobody kills anything."""
    folder = tmp_path_factory.mktemp("whole") / "file"
    nursery.beget(str(folder.with_name("witness")), "task=pick_at_xy", *arguments(recorded, folder))
    assert nursery.end_of_child() == 0 and len(list(folder.glob("episode_*.hdf5"))) == 4
    return folder


def kill_once(clock: random.Random, nursery: Nursery, recorded: Path, out: Path, witness: Path, kind: signal.Signals) -> tuple[bool, int]:
    """Kills a collector after some time of recording and checks what it left. Whether it was not done before, and how many steps were lost."""
    witness.unlink(missing_ok=True)
    child, end = nursery.beget(str(witness), "task=pick_at_xy", *arguments(recorded, out)), time.monotonic() + 900
    while not (witness.exists() and witness.stat().st_size):
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(clock.uniform(0, 2.5))
    before = {path.name for path in out.glob("episode_*.hdf5")}
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, kind)
    killed = nursery.end_of_child() != 0
    start, steps = struct.unpack("<qq", witness.read_bytes())
    files = list(out.glob("**/*.hdf5"))
    for path in files:  # finished drafts among them
        read_episode(path)
    assert before <= {path.name for path in files}
    if {row["episode"] for row in read_rows(out / "starts.jsonl")} | {start_of(path) for path in files} >= {start}:
        return killed, 0
    found = journal.read(out / JOURNAL)
    assert found is not None and found[0]["start"] == start
    assert len(found[1]) >= steps - MOST_LOST
    return True, max(0, steps - len(found[1]))


def start_of(path: Path) -> int:
    return int(read_episode(path, frames=False).attrs["episode"])


def kills(count: int, nursery: Nursery, recorded: Path, whole: Path, tmp_path: Path) -> None:
    clock, out, done, steps_lost = random.Random(7), tmp_path / "out", 0, 0
    while done < count:
        kind = signal.SIGHUP if done % 5 == 4 else signal.SIGKILL
        killed, lost = kill_once(clock, nursery, recorded, out, tmp_path / "witness", kind)
        if killed:
            done, steps_lost = done + 1, max(steps_lost, lost)
        else:
            check_same(whole, out)
            shutil.rmtree(out)
    nursery.beget(str(tmp_path / "witness"), "task=pick_at_xy", *arguments(recorded, out))
    assert nursery.end_of_child() == 0
    check_same(whole, out)
    print(f"{done} kills, {steps_lost} steps lost at most")


def check_same(whole: Path, out: Path) -> None:
    """What was killed again and again is in the end what was never killed, byte for byte."""
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in out.iterdir())
    assert all((whole / name).read_bytes() == (out / name).read_bytes() for name in names)


def test_three_kills(nursery: Nursery, recorded: Path, whole: Path, tmp_path: Path) -> None:
    kills(3, nursery, recorded, whole, tmp_path)


def test_fifty_kills(nursery: Nursery, recorded: Path, whole: Path, tmp_path: Path) -> None:
    kills(50, nursery, recorded, whole, tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB; skips where it cannot be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)], capture_output=True, check=False)
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_told_and_costs_nothing(recorded: Path, small_disk: Path) -> None:
    out = small_disk / "out"
    full = run(*arguments(recorded, out))
    assert full.returncode == 1 and "No space left on device" in full.stderr and full.stderr.strip().count("\n") <= 1, full.stderr
    saved = [path for path in out.glob("episode_*.hdf5") if read_episode(path)]
    assert 0 < len(saved) < 4 and Starts(out).num_files == len(saved)
    found = journal.read(out / JOURNAL)
    assert found is not None and len(found[1]) > 0
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    again = run(*arguments(recorded, out))
    assert again.returncode == 0 and "recovered" in again.stdout, again.stderr
    for path in sorted(recorded.glob("episode_*.hdf5")):
        before, after = read_episode(path), read_episode(out / path.name)
        assert after.success and np.array_equal(after.states, before.states) and np.array_equal(after.frames, before.frames)  # type: ignore[arg-type]
