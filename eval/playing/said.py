"""What a policy is told instead of the instruction, to see what the words are worth (`eval.run said=`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from envs.language.draws import TWO_NAMED
from envs.language.things import FLAT, Thing


class Said:
    """`env`, in which a policy is told something else: nothing at all (`blank`), or another thing of the same scene (`other`), which is then what counts."""

    def __init__(self, env: Any, said: str) -> None:
        self.env, self.said, self.sentence = env, said, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self, *, seed: int, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        obs, info = self.env.reset(seed=seed, options=options)
        if self.said == "other":
            things = self.env.things
            order = another(things, self.env.task)
            self.sentence = told_of(obs["instruction"], things, order)
            obs, info = self.env.mean(order)
        return obs | {"instruction": self.sentence}, info

    def step_chunk(self, actions: Any, on_step: Any = None) -> tuple[Any, ...]:
        obs, *rest = self.env.step_chunk(actions, on_step=on_step)
        return obs | {"instruction": self.sentence}, *rest


def another(things: Sequence[Thing], task: str) -> list[int]:
    """The numbers of the things when another one is meant: the first that can be; where none but the two that are named can be stacked, these change places."""
    named = 2 if task in TWO_NAMED else 1
    free = [number for number in range(named, len(things)) if task != "stack_centered" or things[number].shape in FLAT]
    number = free[0] if free else 1
    order = list(range(len(things)))
    order[0], order[number] = number, 0
    return order


def told_of(sentence: str, things: Sequence[Thing], order: Sequence[int]) -> str:
    """The sentence, with the name of each thing replaced by that of the thing in its place."""
    names = {str(thing): str(things[number]) for thing, number in zip(things, order, strict=True)}
    return re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], sentence)
