"""Greets somebody a number of times."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whatwhere.command import command, positive
from whatwhere.errors import BadInput
from whatwhere.files import write_text


@dataclass(frozen=True)
class Settings:
    name: str = "world"
    times: int = 1
    pause_s: float = 0.0
    style: Literal["plain", "loud"] = "plain"
    out: str | None = None
    seeds: tuple[int, ...] = (0, 1)
    video: int | str = 3
    child: bool = False

    def __post_init__(self) -> None:
        positive("times", self.times)
        if not self.name:
            raise BadInput("name=: somebody must be greeted")


def main(settings: Settings) -> None:
    if settings.name == "nobody":
        raise BadInput("name=nobody: is not here")
    if settings.name == "crash":
        raise RuntimeError("it broke")
    line = f"hello {settings.name}"
    print("\n".join([line.upper() if settings.style == "loud" else line] * settings.times))
    if settings.child:
        process = multiprocessing.get_context("spawn").Process(target=os.getpid)
        process.start()
        process.join()
        if process.exitcode:
            raise RuntimeError("no child")
    if settings.out:
        write_text(Path(settings.out) / f"{settings.name}-{settings.times}.txt", line)


if __name__ == "__main__":
    command("greet.conf", "run", Settings, main)
