"""`python -m tests.envs.teleop.pictures FOLDER`: the teleoperation page in a headless Chromium, for docs/pictures."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.envs.teleop.driver import Fingers, Running, browser, pick, running, until

VIEWPORT = {"width": 1180, "height": 660}
VIEW_PX = 256


@contextlib.contextmanager
def opened(task: str, demos: str, seed: int) -> Iterator[tuple[Running, Any]]:
    with browser() as chromium, running(Path(demos), task=task, n=5, size=96, view=VIEW_PX, seed=seed) as run, contextlib.closing(chromium.new_page()) as page:
        page.set_viewport_size(VIEWPORT)
        page.goto(run.url)
        yield run, page


def draw(folder: Path) -> None:
    """A pick that has just succeeded, and a base under way with its arm moved."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as demos, opened("pick_at_xy", demos, seed=50) as (run, page):
        pick(run, page)
        until(lambda: page.text_content("#success") == "yes", "success on the page")
        page.screenshot(path=str(folder / "teleop_page.png"))
    with tempfile.TemporaryDirectory() as demos, opened("navigate_to", demos, seed=50) as (run, page):
        fingers = Fingers(page)
        until(lambda: page.text_content("#state") == "ready", "a page that knows that all is ready")
        fingers.tap("Enter")
        until(lambda: run.session.state == "recording", "recording")
        for keys, seconds in ((("w",), 3.0), (("w", "e"), 1.0), ((), 0.2)):
            fingers.hold(*keys)
            time.sleep(seconds)
        fingers.tap("b")
        fingers.hold("r", "a")
        time.sleep(2)
        page.screenshot(path=str(folder / "teleop_navigate.png"))
        fingers.hold()


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
