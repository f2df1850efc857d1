"""`python -m tests.envs.teleop.full_path FOLDER [keys=5] [expert=20] [multiplied=0] [steps=1500] [episodes=50]`: from keys in a browser to a score.

Episodes of pick_at_xy by key presses in a headless Chromium, others of the expert beside them, inspected, if wanted multiplied, fine-tuned on and evaluated
on development starts. Each step is the command that a user gives; only the fingers are scripted.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from tests.envs.teleop.driver import browser, pick, running, until

KEYS_SEED = 50
NUMBERS = {"keys": 5, "expert": 20, "multiplied": 0, "steps": 1500, "episodes": 50}


def module(name: str, *words: str) -> str:
    """Runs `python -m name words` and returns the last line it printed."""
    print("python -m", name, *words, flush=True)
    done = subprocess.run([sys.executable, "-m", name, *words], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"{name} ended with {done.returncode}"
    return (done.stdout.strip().splitlines() or [""])[-1]  # fine-tuning shows its progress on stderr only


def by_keys(folder: Path, n: int) -> list[str]:
    """Records the episodes; returns what the session said of each."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium, running(folder, n=n, seed=KEYS_SEED, size=96, view=192) as run, contextlib.closing(chromium.new_page()) as page:
        page.goto(run.url)
        for number in range(n):
            pick(run, page)
            until(lambda: page.text_content("#success") == "yes", "success on the page")
            page.keyboard.press("Enter")
            until(lambda number=number: run.session.starts.num_files == number + 1, "the saved episode")
        return [line for line in run.said if "Hz" in line]


def full_path(folder: Path, keys: int, expert: int, multiplied: int, steps: int, episodes: int) -> str:
    """The last line of the evaluation."""
    print(*by_keys(folder / "keys", keys), sep="\n")
    demos, number = folder / "keys", keys + expert
    if expert:
        print(module("envs.demos.collect", "task=pick_at_xy", f"n={expert}", f"out={folder / 'expert'}"))
        demos = folder / "demos"
        print(module("envs.demos.convert", f"src=[{folder / 'keys'},{folder / 'expert'}]", f"out={demos}", "to=folder"))
    print(module("envs.demos.inspect", str(demos), f"out={folder / 'inspect.html'}"))
    if multiplied:
        print(module("envs.demos.multiply", f"src={demos}", f"n={multiplied}", f"out={folder / 'multiplied'}"))
        demos, number = folder / "multiplied", multiplied
    common = ("task=pick_at_xy", "encoder=pixelwise")
    trained = (f"demos={demos}", f"num_demos={number}", f"steps={steps}", f"cache={folder / 'cache'}", f"shifts={2 if multiplied else 4}")
    module("policy.finetune", *common, *trained, f"out={folder / 'policy'}")
    return module("eval.run", *common, f"checkpoint={folder / 'policy'}", f"episodes={episodes}", "seed=100000", "video=1", f"out={folder / 'eval'}")


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[2:])
    assert set(given) <= set(NUMBERS), f"there are {', '.join(NUMBERS)}"
    print(full_path(Path(sys.argv[1]), **NUMBERS | {name: int(text) for name, text in given.items()}))
