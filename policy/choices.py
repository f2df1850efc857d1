"""Choices that are in files and in a policy's name only where they are not the usual ones. Imports no torch."""

from __future__ import annotations

from typing import Any

from policy.heads import DEFAULT, UNNAMED
from policy.joins import UNNAMED_JOIN
from policy.language import UNNAMED_LANGUAGE

USUAL = {"head": UNNAMED, "language": UNNAMED_LANGUAGE, "join": UNNAMED_JOIN}  # what files do not say
DEFAULTS = {**USUAL, "head": DEFAULT}  # what names do not say


def chosen(of: Any) -> list[str]:
    """The encoder of a policy (its configuration, or the settings of its training), then what else is not as usual in it."""
    return [of.encoder, *(getattr(of, name) for name, usual in DEFAULTS.items() if getattr(of, name) != usual)]
