"""robosuite's keyboard and SpaceMouse with their window, on a virtual screen with a virtual hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from envs.demos.episodes import read_episode

pytestmark = pytest.mark.slow
# A SpaceMouse that says what is written into a pipe: reports of 13 bytes, of which the first is 1 (six axes) or 3 (buttons).
FAKE_HID = """
import os

class device:
    def open(self, vendor, product):
        self.pipe = os.open(os.environ["FAKE_HID"], os.O_RDWR)
    def get_manufacturer_string(self): return "3Dconnexion"
    def get_product_string(self): return "SpaceMouse"
    def read(self, size): return list(os.read(self.pipe, size))

def enumerate(): return []
"""


@pytest.fixture(scope="module")
def screen() -> Iterator[dict[str, str]]:
    """The environment of a process that has a screen of its own."""
    if not (shutil.which("Xvfb") and shutil.which("xdotool")):
        pytest.skip("needs a virtual screen and a virtual hand: apt-get install xvfb xdotool")
    server = subprocess.Popen(["Xvfb", "-displayfd", "1", "-screen", "0", "1024x768x24"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    yield {**os.environ, "DISPLAY": f":{server.stdout.readline().strip()}", "OMP_NUM_THREADS": "1"}
    server.kill()
    server.wait()


class Collector:
    """A collector with a window, and keys for it."""

    def __init__(self, source: str, out: Path, environment: dict[str, str]) -> None:
        arguments = ["task=pick_at_xy", f"source={source}", f"out={out}", "size=32", "view=64", "n=1"]
        self._environment, self.log = environment, out.with_suffix(".log")
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "envs.demos.collect", *arguments]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def xdotool(self, *words: str) -> str:
        return subprocess.run(["xdotool", *words], env=self._environment, capture_output=True, text=True, check=False).stdout.strip()

    def focus(self) -> None:
        self.until(lambda: self.xdotool("search", "--name", "^whatwhere$"), "the window")
        time.sleep(1)
        self.xdotool("windowfocus", "--sync", self.xdotool("search", "--name", "^whatwhere$").split()[-1])

    def key(self, *names: str) -> None:
        for name in names:
            self.xdotool("key", name)
            time.sleep(0.3)

    def until(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + 200
        while not condition():
            assert time.monotonic() < end and self.process.poll() is None, (what, self.log.read_text())
            time.sleep(0.2)

    def said(self, line: str) -> bool:
        return line in self.log.read_text()

    def save_and_quit(self) -> None:
        """At the end of an episode that did not succeed."""
        self.until(lambda: self.said("steps at"), "the end of the episode")
        self.key("Return")
        self.until(lambda: self.said("kept in failed/"), "the saved episode")
        self.xdotool("key", "Escape")
        assert self.process.wait(60) == 0


@pytest.mark.timeout(600)
def test_keys_drive_and_save(screen: dict[str, str], tmp_path: Path) -> None:
    collector = Collector("keyboard", tmp_path / "keys", screen)
    try:
        collector.focus()
        collector.key("Return", "Up", "Up", "Right", "period", "space", "x")
        collector.save_and_quit()
    finally:
        collector.process.kill()
    episode = read_episode(tmp_path / "keys" / "failed" / "episode_0.hdf5")
    assert episode.attrs["source"] == "keyboard"
    sums = episode.actions.sum(axis=0)
    assert sums[0] == pytest.approx(-1.0)  # twice away, at half speed: towards the robot
    assert sums[1] == pytest.approx(0.5) and sums[2] == pytest.approx(-0.5)
    assert np.abs(sums[3:6]).max() == 0 and set(episode.actions[:, 6]) == {-1.0, 1.0}


@pytest.mark.timeout(600)
def test_a_spacemouse_drives_and_grips(screen: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "hid.py").write_text(FAKE_HID)
    os.mkfifo(tmp_path / "pipe")
    paths = os.pathsep.join([str(tmp_path / "fake"), str(Path(__file__).parents[3])])
    collector = Collector("spacemouse", tmp_path / "mouse", {**screen, "PYTHONPATH": paths, "FAKE_HID": str(tmp_path / "pipe")})
    pipe = os.open(tmp_path / "pipe", os.O_RDWR)

    def report(kind: int, *values: int) -> None:
        axes = b"".join(value.to_bytes(2, "little", signed=True) for value in values)
        os.write(pipe, (bytes([kind]) + (axes if kind == 1 else bytes(values))).ljust(13, b"\0"))

    try:
        collector.focus()
        collector.key("Return")
        report(1, 350, 0, 0, 0, 0, 0)  # pushed to one side, fully
        time.sleep(2)
        report(1, 0, 0, -350, 0, 0, 0)
        time.sleep(2)
        report(1, 0, 0, 0, 0, 0, 0)
        report(3, 1)
        time.sleep(2)
        report(3, 0)
        collector.key("x")
        collector.save_and_quit()
    finally:
        os.close(pipe)
        collector.process.kill()
    actions = read_episode(tmp_path / "mouse" / "failed" / "episode_0.hdf5").actions
    assert actions[:, 1].max() > 0.2 and actions[:, 2].max() > 0.2 and np.abs(actions[:, 0]).max() == 0
    assert set(actions[:, 6]) == {-1.0, 1.0} and actions[0, 6] == -1


@pytest.mark.timeout(600)
def test_without_a_spacemouse_there_is_one_clear_line(screen: dict[str, str], tmp_path: Path) -> None:
    arguments = ["task=pick_at_xy", "source=spacemouse", f"out={tmp_path / 'mouse'}", "size=16"]
    command = [sys.executable, "-m", "envs.demos.collect", *arguments]
    done = subprocess.run(command, env=screen, capture_output=True, text=True, timeout=500)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("source=spacemouse: ") and "pip install hidapi" in done.stderr.splitlines()[-1]
