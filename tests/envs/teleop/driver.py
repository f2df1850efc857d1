"""Somebody at the page: a session in a thread of its own (an OpenGL context belongs to one), a headless Chromium, and fingers that see privileged state."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import envs
from envs.demos.starts import Starts
from envs.teleop.browser import Browser
from envs.teleop.session import Session

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEAR_M = 0.006
SLOW_WITHIN_M = 0.05


class Running:
    """A session at work. `session` is for reading only."""

    session: Session
    url: str

    def __init__(self, folder: Path, task: str, n: int, **options: Any) -> None:
        self._ready, self._failure = threading.Event(), None
        self._thread = threading.Thread(target=self._run, args=(folder, task, n, options), daemon=True)
        self._thread.start()
        assert self._ready.wait(120)
        if self._failure is not None:
            raise self._failure

    def _run(self, folder: Path, task: str, n: int, options: dict[str, Any]) -> None:
        try:
            env = envs.make(task, size=options.pop("size", 48))
            env.horizon *= 8
            device = Browser(port=0)
            device.open(env)
            self.said: list[str] = []
            attrs = {"source": "browser", "noise": 0.0}
            self.session = Session(env, device, Starts(folder), n=n, seed=options.pop("seed", 0), attrs=attrs, say=self.said.append, **{"view": 96, **options})
            self.url = device.url
        except BaseException as error:  # told in the other thread
            self._failure = error
            self._ready.set()
            return
        self._ready.set()
        try:
            self.session.run()
        finally:
            device.close()
            env.close()

    def end(self) -> None:
        self.session.over = True
        self._thread.join(30)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def running(folder: Path, task: str = "pick_at_xy", n: int = 2, **options: Any) -> Iterator[Running]:
    run = Running(folder, task, n, **options)
    try:
        yield run
    finally:
        run.end()


@contextlib.contextmanager
def browser(**options: Any) -> Iterator[Any]:
    """A headless Chromium; skips the test where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], **options)
        try:
            yield chromium
        finally:
            chromium.close()


def until(condition: Callable[[], Any], what: str, patience_s: float = 60) -> None:
    """Waits, and fails if it takes for ever."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"waited for: {what}"
        time.sleep(0.02)


class Fingers:
    """Keys held down on a page, by name."""

    def __init__(self, page: Any) -> None:
        self.page, self._down = page, set()

    def hold(self, *keys: str) -> None:
        """Exactly these are down from now on."""
        for key in self._down - set(keys):
            self.page.keyboard.up(key)
        for key in set(keys) - self._down:
            self.page.keyboard.down(key)
        self._down = set(keys)

    def tap(self, key: str) -> None:
        self.page.keyboard.press(key)


def pick(run: Running, page: Any, patience_s: float = 120) -> None:
    """One pick_at_xy by keys, from "ready" to "review"."""
    fingers, session, end = Fingers(page), run.session, time.monotonic() + patience_s
    until(lambda: page.text_content("#state") == "ready", "a page that knows that all is ready")
    fingers.tap("Enter")
    until(lambda: session.state == "recording", "recording")
    while session.state == "recording":
        assert time.monotonic() < end, f"not picked up: {session.status()}"
        info = session.info
        away = info["privileged/target_pos_world"] - info["privileged/gripper_pos_world"]
        closed = session.status().closed
        if closed:
            fingers.hold("r") if info["privileged/gripper_width_m"] < 0.0445 else fingers.hold()
        else:
            keys = [key for wanted, key in ((away[1] > NEAR_M, "d"), (away[1] < -NEAR_M, "a"), (away[0] < -NEAR_M, "w"), (away[0] > NEAR_M, "s")) if wanted]
            level = float(np.abs(away[:2]).max())
            if level < 2 * NEAR_M and away[2] < -0.01:
                keys.append("f")
            if level < SLOW_WITHIN_M and (away[2] > -0.06 or "f" not in keys):
                keys.append("Shift")
            fingers.hold(*keys)
            if not set(keys) - {"Shift"}:
                fingers.tap("Space")
                until(lambda: session.status().closed or session.state != "recording", "the gripper's command")
        time.sleep(0.03)
    fingers.hold()
