"""Speed and fidelity of this machine's set-up against the bars that it should clear: `python -m eval.bench env`.

Prints a line a figure; exits 1 if a bar is missed.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from dataclasses import dataclass

from eval.reports.tables import rewrite_block
from whatwhere.command import command, named
from whatwhere.errors import BadInput, choose, positive
from whatwhere.files import write_json
from whatwhere.versions import installed

# Each a module with `measure(settings) -> list[Figure]`.
PARTS = {"env": "eval.benches.env", "policy": "eval.benches.policy", "pretrain": "eval.benches.pretrain"}


@dataclass(frozen=True)
class Figure:
    """One measured value and, where there is one, the bar it must clear."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        return (self.at_least is None or self.value >= self.at_least) and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bars = [f"bar: {sign} {bar:g}" for sign, bar in (("≥", self.at_least), ("≤", self.at_most)) if bar is not None]
        verdict = [] if not bars else ["ok" if self.passed else "MISSED"]
        value = f"{self.value:.4g}{' ' * bool(self.unit)}{self.unit}"
        return f"{self.name:<58}{value:>12}   {' · '.join(bars + verdict)}{'   ' + self.note if self.note else ''}".rstrip()


@dataclass(frozen=True)
class Settings:
    what: str
    tasks: list[str] | None
    size: int
    rounds: int
    steps: int
    states: int
    seed: int
    pictures: str | None
    out: str | None
    into: str | None

    def __post_init__(self) -> None:
        from envs import TASKS

        choose("what", self.what, PARTS)
        for task in self.tasks or ():
            choose("tasks", task, TASKS)
        for name, least in (("size", 16), ("rounds", 1), ("steps", 1), ("states", 1), ("seed", 0)):
            positive(name, getattr(self, name), least)
        if self.size > 480:
            raise BadInput(f"size={self.size}: must be at most 480")


def main(settings: Settings) -> None:
    figures = importlib.import_module(PARTS[settings.what]).measure(settings)
    if settings.out is not None:
        write_json(settings.out, [vars(figure) | {"passed": figure.passed} for figure in figures])
    if settings.into is not None:
        rewrite_block(settings.into, f"bench_{settings.what}", "\n".join(["```", about(), *map(str, figures), "```"]))
    missed = [figure for figure in figures if not figure.passed]
    if missed:
        print(f"{len(missed)} of {len(figures)} figures missed their bar", file=sys.stderr)
        raise SystemExit(1)


def about() -> str:
    """What the figures depend on."""
    versions = ", ".join(f"{name} {installed(name)}" for name in ("mujoco", "robosuite", "torch"))
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {versions}"


if __name__ == "__main__":
    command("eval.conf", "bench", Settings, main, named(sys.argv[1:], "what"))
