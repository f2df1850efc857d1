"""What stands in the file of a cell, field by field."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from whatwhere.schema import Index, Name

Word = Annotated[str, Meta(max_length=100_000)]
Folder = Annotated[str, Meta(min_length=1, max_length=4095)]


class Command(TypedDict):
    """`python -m module words…`: what a study runs, and nothing else."""

    module: Literal["policy.finetune", "eval.correct", "eval.run"]
    words: Annotated[list[Word], Meta(max_length=1000)]


class JobFile(TypedDict):
    """`cells/NAME.json`"""

    name: Name
    folder: Folder
    commands: Annotated[list[Command], Meta(min_length=1, max_length=1000)]
    rows: Annotated[list[Folder], Meta(min_length=1, max_length=1000)]
    episodes: Index
    seed: Index
