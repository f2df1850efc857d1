"""What a sentence in a user's own words names: capitals, punctuation and words between do not matter, and either thing may come first."""

from __future__ import annotations

import re
from collections.abc import Sequence

from envs.language.draws import TWO_NAMED
from envs.language.grammar import TRAIN, UNSEEN
from envs.language.things import COLOURS, FLAT, OBJECTS, PADS, Thing

# A sentence that begins so names first what something is put beside or upon, as do some of the grammar: "left of the red cube put the blue ball"
PLACE_FIRST = re.compile(r"(?:to |at |on |upon |over |onto )?(?:the )?(?:left|top|middle|on|onto|upon|over)\b")
NAME = rf"\b({'|'.join(COLOURS)}) ({'|'.join((*OBJECTS, *PADS))})s?\b"


def heard(sentence: str, task: str) -> tuple[Thing, ...]:
    """What is meant and, in tasks that name two things, what it is put beside or upon. Raises ValueError, saying why, where the sentence does not tell."""
    plain = " ".join(re.findall(r"\w+", sentence.lower()))
    found = [(match.start(), Thing(match[1], match[2])) for match in re.finditer(NAME, plain)]
    named = tuple(dict.fromkeys(thing for _, thing in found))
    wanted = 2 if task in TWO_NAMED else 1
    if len(named) != wanted:
        names = "nothing" if not named else ", ".join(map(str, named))
        raise ValueError(f"it names {names}; {task} needs {'one thing' if wanted == 1 else 'two things'} by colour and shape")
    return tuple(reversed(named)) if wanted == 2 and _is_place_first(plain, found[0][0], task) else named


def order(named: Sequence[Thing], there: Sequence[Thing], task: str) -> list[int]:
    """Which of the things that are there are meant, in this order, then the others. Raises ValueError where one of those named is not there."""
    for thing in named:
        if thing not in there:
            raise ValueError(f"there is no {thing} here")
        if task == "stack_centered" and thing.shape not in FLAT:
            raise ValueError(f"a {thing.shape} cannot be stacked")
    chosen = [there.index(thing) for thing in named]
    return chosen + [number for number in range(len(there)) if number not in chosen]


def _is_place_first(plain: str, first: int, task: str) -> bool:
    """Whether the thing named first (at this sign) is the place: by the task's own sentences, or else by how the sentence begins."""
    before, after = plain[:first].split(), plain[first:].split()[2:]  # the words about the first name
    for template in (*TRAIN[task], *UNSEEN[task]):
        start, name, rest = re.split(r"\{([ab])\}", template, maxsplit=1)
        if start.split() == before and [word for word in rest.split() if "{" not in word][:2] == after[:2]:
            return name == "b"
    return bool(PLACE_FIRST.match(plain))
