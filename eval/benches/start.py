"""How long a user waits for a command's first word: `--help` of each, and the first episode of an evaluation."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from eval.benches.child import lines, run
from eval.benches.figure import Figure

HELP_S, FIRST_EPISODE_S = 1, 10
ROUNDS = 3
ROOMS = ("policy", "envs", "eval")
COMMAND = re.compile(r"^    command\(", re.MULTILINE)


def start() -> Iterator[Figure]:
    """`--help` of the slowest command (median of `ROUNDS`), and the time from the start of `eval.run` to the end of its first episode."""
    seconds = {module: median(run(module, "--help") for _ in range(ROUNDS)) for module in commands()}
    slowest = max(seconds, key=lambda module: seconds[module])
    yield Figure(
        f"--help of the slowest of {len(seconds)} commands", seconds[slowest], "s", at_most=HELP_S, note=f"{slowest}; median {median(seconds.values()):.2f} s"
    )
    with tempfile.TemporaryDirectory() as folder:
        told = lines("eval.run", "task=pick_at_xy", "encoder=pixelwise", "episodes=1", "video=0", f"out={folder}/out")
        first = [at for at, line in told if line.lstrip().startswith("[1/1]")]
    yield Figure("from the start of eval.run to the first episode's end", first[0], "s", at_most=FIRST_EPISODE_S)


def commands() -> list[str]:
    """The modules of this package that are commands."""
    found: list[str] = []
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        assert spec is not None and spec.origin is not None
        root = Path(spec.origin).parent
        paths = [path.relative_to(root) for path in sorted(root.rglob("*.py")) if COMMAND.search(path.read_text(encoding="utf-8"))]
        found += [".".join([room, *path.with_suffix("").parts]).removesuffix(".__main__") for path in paths]
    return found
