"""Every choice of a benchmark, checked before a simulator or torch is imported."""

from __future__ import annotations

from typing import Annotated

from eval.options import OurTask, Pixels
from whatwhere.kinds import Length, OneOf, OutputFile, OutputFolder, Range, Seed
from whatwhere.options import options

# Each a module with `measure(settings) -> list[Figure]`.
PARTS = {"all": "eval.benches.all", "env": "eval.benches.env", "policy": "eval.benches.policy", "pretrain": "eval.benches.pretrain"}
PARTS |= {"strategies": "eval.benches.strategies", "decoders": "eval.benches.decoders"}


@options
class Settings:
    what: Annotated[str, OneOf(PARTS)]
    tasks: Annotated[list[OurTask], Length(1, 100)] | None
    size: Pixels
    rounds: Annotated[int, Range(1, 1000)]
    steps: Annotated[int, Range(1, 100_000)]
    states: Annotated[int, Range(1, 10_000)]
    seed: Seed
    pictures: OutputFolder | None
    out: OutputFile | None
    into: OutputFile | None
