"""Which words of an instruction a policy never met. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from policy.language.vocabulary import words_of
from whatwhere.errors import did_you_mean


def trained_on(training: Mapping[str, Any]) -> frozenset[str]:
    """The words of the instructions of a training, by its record in a checkpoint; empty where it keeps none."""
    told: Iterable[str] = training.get("instructions") or [training.get("instruction") or ""]
    return frozenset(word for instruction in told for word in words_of(instruction))


def strange(instruction: str, known: Collection[str]) -> list[str]:
    """The words that are not known, each once."""
    return [word for word in dict.fromkeys(words_of(instruction)) if word not in known]


def note(instruction: str, words: Iterable[str], known: Collection[str]) -> str:
    """One line that names them."""
    named = ", ".join(f"{word!r}{did_you_mean(word, sorted(known))}" for word in words)
    return f"note: instruction {instruction!r:.200}: not in what this policy learnt from: {named}"
