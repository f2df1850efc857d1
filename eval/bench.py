"""`python -m eval.bench all`: measures speed and fidelity on this machine, and compares them with targets (bars).

Prints a line for each figure; exits 1 if a bar is missed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import sys
import time
from pathlib import Path

from eval.benches.settings import PARTS, Settings
from eval.reports.tables import parts, rewrite_block
from whatwhere.command import command
from whatwhere.cores import usable_cores
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.files import write_json
from whatwhere.versions import installed


def main(settings: Settings) -> None:
    for name in ("pictures", "out", "into"):
        if (path := getattr(settings, name)) is not None:
            check_writable(name, path if name == "pictures" else Path(path).parent)
    if settings.into is not None:
        parts(settings.into, block := f"bench_{settings.what}")
    machine = about()
    print(machine, flush=True)
    figures = importlib.import_module(PARTS[settings.what]).measure(settings)
    if settings.out is not None:
        write_json(settings.out, [vars(figure) | {"passed": figure.passed, "machine": machine} for figure in figures])
    if settings.into is not None:
        rewrite_block(settings.into, block, "\n".join(["```", machine, *map(str, figures), "```"]))
    missed = [figure for figure in figures if not figure.passed]
    if missed:
        print(f"missed: the bars of {len(missed)} of {counted(len(figures), 'figure')}", file=sys.stderr)
        raise SystemExit(1)


def about() -> str:
    """What the figures depend on."""
    versions = ", ".join(f"{name} {installed(name)}" for name in ("mujoco", "robosuite", "torch"))
    day, load = time.strftime("%Y-%m-%d"), os.getloadavg()[0]
    return f"{day}, {processor()}, {counted(usable_cores(), 'core')} (load {load:.1f} when it began), Python {platform.python_version()}, {versions}"


def processor() -> str:
    """Its name; on Linux `platform.processor()` does not tell it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    command("eval.conf", "bench", Settings, main, bare=("what",))
