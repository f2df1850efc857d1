"""A row of `figures.jsonl`, what a run says of itself."""

from __future__ import annotations

from typing import TypedDict

from whatwhere.schema import Index


class Figures(TypedDict):
    """`of`: training, held_out or probe; every other key is a figure."""

    step: Index
