"""A study is killed at random moments, a worker of it, the whole of it or its head alone, wherever its cells run: it ends with the same rows and tables."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.disks import ROOT, run
from tests.eval.test_study import is_running

TABLES = ("study.csv", "study.md", "study.tex", "trainings.csv", "trainings.md")
WORDS = ["study.tasks=[pick_at_xy,navigate_to]", "study.methods={pixelwise: {}, avg_late: {}}", "study.train_seeds=[0,1]", "episodes=5", "jobs=2"]
WHERE = {"local": [], "ray": ["launcher=ray"], "slurm": ["launcher=slurm", "slurm={cluster: local}"]}
PACKAGES = {"ray": "ray", "slurm": "submitit"}


class Victim:
    """A study with cells that take a moment, and the processes that its commands are."""

    def __init__(self, folder: Path, launcher: str, delay_s: float) -> None:
        self.pids, self.launcher = folder / "pids", launcher
        self.more = {"FAKE_PIDS": str(self.pids), "FAKE_DELAY": str(delay_s)}
        self.words = [*WORDS, *WHERE[launcher], "retries=100", f"out={folder / 'killed'}", f"demos={folder / 'demos'}"]

    def start(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "tests.eval.fake_study", *self.words]
        self.pids.unlink(missing_ok=True)
        with (self.pids.parent / "said").open("ab") as said:
            return subprocess.Popen(argv, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)} | self.more, stdout=said, stderr=said)

    def living(self) -> list[int]:
        return [pid for pid in map(int, self.pids.read_text().split()) if is_running(pid)] if self.pids.exists() else []

    def some(self, study: subprocess.Popen[bytes]) -> list[int]:
        """Its commands that live, as soon as there are some; none at its end."""
        deadline = time.monotonic() + 600
        while not (found := self.living()) and study.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return found


def kill_workers(victim: Victim, chance: random.Random, times: int) -> None:
    study = victim.start()
    for _ in range(times):
        while study.poll() is None and not list(victim.pids.parent.glob("killed/cells/*.lease")):
            time.sleep(0.02)  # not those that come before all cells
        time.sleep(chance.uniform(0, 1))
        if found := victim.some(study):
            kill([chance.choice(found)])
    assert study.wait(3000) == 0, "the study went on"


def kill_heads(victim: Victim, chance: random.Random, times: int, whole: bool) -> None:
    for _ in range(times):
        study = victim.start()
        victim.some(study)
        time.sleep(chance.uniform(0, 2))
        others = [child.pid for child in children(study.pid)] if whole else []
        kill([study.pid, *others])
        study.wait()
        if victim.launcher != "slurm":  # whose jobs go on: the next head waits for them
            deadline = time.monotonic() + 20
            while left := victim.living():
                assert time.monotonic() < deadline, f"{left} live on"
                time.sleep(0.05)


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue


def same_in_the_end(tmp_path: Path, launcher: str, times: int, kinds: tuple[str, ...], delay_s: float = 0.3) -> None:
    if launcher in PACKAGES and importlib.util.find_spec(PACKAGES[launcher]) is None:
        pytest.skip(f"needs {PACKAGES[launcher]}: pip install 'whatwhere[{launcher}]'")
    once = {"FAKE_PIDS": str(tmp_path / "once"), "FAKE_DELAY": "0"}
    done = run("tests.eval.fake_study", *WORDS, f"out={tmp_path / 'whole'}", f"demos={tmp_path / 'demos'}", more=once)
    assert done.returncode == 0, done.stderr
    chance = random.Random(times)
    for kind in kinds:
        folder = tmp_path / f"kill_{kind}"  # beside `whole`, the study that nobody touched
        folder.mkdir()
        victim = Victim(folder, launcher, delay_s)
        if kind == "worker":
            kill_workers(victim, chance, times)
        else:
            kill_heads(victim, chance, times, whole=kind == "whole")
            assert victim.start().wait(3000) == 0, (folder / "said").read_text()[-2000:]
        killed, whole = folder / "killed", tmp_path / "whole"
        for name in TABLES:
            assert (killed / name).read_bytes() == (whole / name).read_bytes(), (kind, name)
        rows = sorted(path.relative_to(whole) for path in whole.glob("rows/*/*") if path.suffix in (".jsonl", ".json"))
        assert len(rows) == 16
        for name in rows:
            assert (killed / name).read_bytes() == (whole / name).read_bytes(), (kind, name)
        # a cell that was killed between its last row and the release of its lease leaves a lease behind, which nobody asks for any more
        assert not [path for path in killed.rglob(".*") if path.name != ".lock"], kind


@pytest.mark.parametrize("launcher", ["local", "slurm"])
def test_interrupted_it_says_so_in_one_line_and_leaves_nothing_running(launcher: str, tmp_path: Path) -> None:
    if launcher in PACKAGES and importlib.util.find_spec(PACKAGES[launcher]) is None:
        pytest.skip(f"needs {PACKAGES[launcher]}: pip install 'whatwhere[{launcher}]'")
    victim = Victim(tmp_path, launcher, 2.0)
    study = victim.start()
    while study.poll() is None and not list(tmp_path.glob("killed/cells/*.lease")):
        time.sleep(0.02)
    victim.some(study)
    study.send_signal(signal.SIGINT)
    assert study.wait(60) == 130
    assert (tmp_path / "said").read_text().splitlines()[-1] == "interrupted: the same command carries on where it stopped"
    assert "Traceback" not in (tmp_path / "said").read_text()
    deadline = time.monotonic() + 20
    while victim.living():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "Traceback" not in (tmp_path / "said").read_text(), "nor does what it began"


@pytest.mark.parametrize("kind", ["worker", "head"])
def test_killed_a_little(kind: str, tmp_path: Path) -> None:
    same_in_the_end(tmp_path, "local", 2, (kind,), delay_s=0.1)


@pytest.mark.slow
@pytest.mark.timeout(10_000)
@pytest.mark.parametrize("launcher", list(WHERE))
def test_killed_ten_times(launcher: str, tmp_path: Path) -> None:
    same_in_the_end(tmp_path, launcher, 10, ("worker", "head", "whole"))
