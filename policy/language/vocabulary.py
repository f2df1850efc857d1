"""Words as numbers: 0 is no word (padding), 1 a word that is not known, and the vocabulary from 2 on. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 32  # words of an instruction; the rest is not read
PADDING, UNKNOWN, FIRST = 0, 1, 2


def words_of(instruction: str) -> list[str]:
    """Letters, digits and _ in a row, in lower case, as many as are read."""
    return re.findall(r"\w+", instruction.lower())[:LONGEST]


def vocabulary_of(instructions: Iterable[str]) -> tuple[str, ...]:
    """The words of the instructions, each once, in the order of the alphabet. No others: the vector of a word that training never shows would be noise."""
    return tuple(sorted({word for instruction in instructions for word in words_of(instruction)}))
