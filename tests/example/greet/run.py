"""Greets somebody a number of times."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Annotated

from whatwhere.command import command
from whatwhere.errors import BadInput
from whatwhere.files import write_text
from whatwhere.kinds import OneOf, OutputFolder, Range, Seed, Text
from whatwhere.options import options


@options
class Settings:
    name: Annotated[str, Text("whom to greet", most=10_000)] = "world"
    times: Annotated[int, Range(1, 1_000_000)] = 1
    pause_s: Annotated[float, Range(0, 60)] = 0.0
    style: Annotated[str, OneOf("plain", "loud")] = "plain"
    out: OutputFolder | None = None
    seeds: tuple[Seed, ...] = (0, 1)
    video: Annotated[int, Range(0, 100)] | Annotated[str, OneOf("failures")] = 3
    child: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise BadInput("name=: somebody must be greeted")


def main(settings: Settings) -> None:
    if settings.name == "nobody":
        raise BadInput("name=nobody: is not here")
    if settings.name == "crash":
        raise RuntimeError("it broke")
    if settings.name == "giant":
        bytearray(2**62)
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
    time.sleep(settings.pause_s)


if __name__ == "__main__":
    command("greet.conf", "run", Settings, main)
