"""The sentences of version 1, a small grammar: a task's sentence with the names of things put in, and back again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from envs.language.things import COLOURS, OBJECTS, PADS, Thing
from whatwhere.errors import choose

# {a}: what is meant (the thing to be moved, the pad to drive to); {b}: what it is put beside or upon. The first of each is that of version 0.
TRAIN: dict[str, tuple[str, ...]] = {
    "pick_at_xy": ("pick up the {a}", "take the {a}", "lift the {a}", "grasp the {a} and lift it"),
    "place_left_of": (
        "put the {a} left of the {b}",
        "place the {a} to the left of the {b}",
        "move the {a} to the left side of the {b}",
        "to the left of the {b} put the {a}",
    ),
    "stack_centered": (
        "stack the {a} on the middle of the {b}",
        "put the {a} on top of the {b}",
        "place the {a} on the {b}",
        "on top of the {b} put the {a}",
    ),
    "navigate_to": ("drive to the {a}", "go to the {a}", "move to the {a}", "drive to the {a} and stop there"),
}
UNSEEN: dict[str, tuple[str, ...]] = {
    "pick_at_xy": ("grab the {a} and raise it", "get the {a} off the table", "please hand me the {a}"),
    "place_left_of": ("set the {a} down on the left of the {b}", "the {a} belongs left of the {b}", "left of the {b} is where the {a} should be"),
    "stack_centered": ("set the {a} down centrally upon the {b}", "the {a} belongs on the {b}", "build a tower with the {b} below and the {a} above"),
    "navigate_to": ("head for the {a}", "park on the {a}", "the {a} is where you should be"),
}
# How a thing is spoken of by itself, in captions.
PHRASES = ("the {a}", "a {a}", "{a}")


def words(tasks: Iterable[str]) -> dict[str, Any]:
    """What captions are made of: phrases for a thing, and the sentences of each task, for training and held out."""
    return {
        "phrases": list(PHRASES),
        "sentences": {task: list(TRAIN[task]) for task in tasks},
        "unseen_sentences": {task: list(UNSEEN[task]) for task in tasks},
    }


def templates(task: str, split: str) -> tuple[str, ...]:
    """The sentences of a split, with {a} and {b} for names."""
    return (UNSEEN if split == "unseen_words" else TRAIN)[choose("task", task, TRAIN)]


def parse(sentence: str) -> tuple[str, Thing, Thing | None]:
    """The task, what is meant, and what it is put beside or upon. Raises ValueError for a sentence that is not of the grammar."""
    for task in TRAIN:
        for template in (*TRAIN[task], *UNSEEN[task]):
            if match := _pattern(template, PADS if task == "navigate_to" else OBJECTS).fullmatch(sentence):
                named = {letter: Thing(*words.split()) for letter, words in match.groupdict().items()}
                return task, named["a"], named.get("b")
    raise ValueError(f"instruction={sentence!r:.100}: none of the grammar's sentences (envs/language/grammar.py)")


def _pattern(template: str, shapes: tuple[str, ...]) -> re.Pattern[str]:
    name = rf"(?:{'|'.join(COLOURS)}) (?:{'|'.join(shapes)})"
    return re.compile(re.sub(r"\\{(\w)\\}", rf"(?P<\1>{name})", re.escape(template)))
