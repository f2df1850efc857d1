"""`python -m tests.envs.teleop.full_path FOLDER [STEPS] [EPISODES]`: from keys in a browser to a score.

Five episodes of pick_at_xy by key presses in a headless Chromium, twenty of the expert beside them, inspected, fine-tuned on and evaluated on development
starts. Each step is the command that a user gives; only the fingers are scripted.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from tests.envs.teleop.driver import browser, pick, running, until

BY_KEYS, BY_EXPERT, KEYS_SEED = 5, 20, 50


def module(name: str, *words: str) -> str:
    """Runs `python -m name words` and returns the last line it printed."""
    print("python -m", name, *words, flush=True)
    done = subprocess.run([sys.executable, "-m", name, *words], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"{name} ended with {done.returncode}"
    return (done.stdout.strip().splitlines() or [""])[-1]  # fine-tuning shows its progress on stderr only


def by_keys(folder: Path) -> list[str]:
    """Records the episodes; returns what the session said of each."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium, running(folder, n=BY_KEYS, seed=KEYS_SEED, size=96, view=192) as run, contextlib.closing(chromium.new_page()) as page:
        page.goto(run.url)
        for number in range(BY_KEYS):
            pick(run, page)
            until(lambda: page.text_content("#success") == "yes", "success on the page")
            page.keyboard.press("Enter")
            until(lambda number=number: run.session.starts.num_files == number + 1, "the saved episode")
        return [line for line in run.said if "Hz" in line]


def full_path(folder: Path, steps: int, episodes: int) -> str:
    """The last line of the evaluation."""
    print(*by_keys(folder / "keys"), sep="\n")
    print(module("envs.demos.collect", "task=pick_at_xy", f"n={BY_EXPERT}", f"out={folder / 'expert'}"))
    demos = folder / "demos"
    print(module("envs.demos.convert", f"src=[{folder / 'keys'},{folder / 'expert'}]", f"out={demos}", "to=folder"))
    print(module("envs.demos.inspect", str(demos), f"out={folder / 'inspect.html'}"))
    common = ("task=pick_at_xy", "encoder=pixelwise")
    trained = (f"demos={demos}", f"num_demos={BY_KEYS + BY_EXPERT}", f"steps={steps}", f"cache={folder / 'cache'}")
    module("policy.finetune", *common, *trained, f"out={folder / 'policy'}")
    return module("eval.run", *common, f"checkpoint={folder / 'policy'}", f"episodes={episodes}", "seed=100000", "video=1", f"out={folder / 'eval'}")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:]]
    print(full_path(Path(sys.argv[1]), *numbers, *(3000, 50)[len(numbers) :]))
