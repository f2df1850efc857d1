"""Which things are in a scene, which of them is meant, and how that is said.

Four things of two colours and two shapes: each shares its colour with one other and its shape with another one, so that colour alone or shape alone never
tells which is meant, and nothing but the instruction does: every thing of a scene is meant equally often. (Of three things, one that shares its colour with
the second and its shape with the third could be told without any instruction.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from envs.language.grammar import templates
from envs.language.things import COLOURS, FLAT, HELD_OUT, OBJECTS, PADS, Thing

NUM_THINGS = 4
TWO_NAMED = ("place_left_of", "stack_centered")  # tasks whose instructions name a second thing


@dataclass(frozen=True)
class Draw:
    """`things`: the one that is meant, then, where a second one is named, that, then the others. `sentence`: the instruction."""

    things: tuple[Thing, ...]
    sentence: str

    def ordered(self, order: Sequence[int]) -> Draw:
        """The same things in another order: others are meant."""
        return Draw(tuple(self.things[number] for number in order), self.sentence)


def draw(rng: np.random.Generator, task: str, split: str) -> Draw:
    """A scene of `task` in `split`. The things and their order are the same in train and unseen_words: only the sentence is another one."""
    scene = _scene(rng, PADS if task == "navigate_to" else OBJECTS, split == "unseen_pairs")
    able = [thing for thing in scene if task != "stack_centered" or thing.shape in FLAT]  # to be stacked, and stacked upon
    orders = [order for order in permutations(scene) if set(order[: 2 if task in TWO_NAMED else 1]) <= set(able)]
    if split == "unseen_pairs":
        orders = [order for order in orders if order[0] == scene[0]]
    things = orders[rng.integers(len(orders))]
    choices = templates(task, split)
    template = choices[int(rng.random() * len(choices))]  # one number is drawn, however many sentences there are
    return Draw(things, template.format(a=things[0], b=things[1]))


def numbers(scene: Draw, shapes: tuple[str, ...]) -> np.ndarray:
    """Colour and shape of each thing, for the hash of a start. Not the sentence: the same start told otherwise is the same start."""
    return np.array([list(COLOURS).index(thing.colour) * len(shapes) + shapes.index(thing.shape) for thing in scene.things], float)


def _scene(rng: np.random.Generator, shapes: tuple[str, ...], held_out: bool) -> list[Thing]:
    """Two colours × two shapes, none of the four held out; with `held_out` one that is, and that is the first."""
    seen = {colour: [shape for shape in shapes if (colour, shape) not in HELD_OUT[shapes]] for colour in COLOURS}
    colour = _one(rng, sorted({colour for colour, _ in HELD_OUT[shapes]} if held_out else COLOURS))
    missing = next((shape for shape in shapes if shape not in seen[colour]), None) if held_out else None
    first = shapes if missing is None else [missing]
    grids = [
        (other, one, two)
        for other in COLOURS
        for one in first
        for two in seen[colour]
        if other != colour and one != two and (held_out or one in seen[colour]) and {one, two} <= set(seen[other])
    ]
    other = _one(rng, sorted({other for other, _, _ in grids}))
    _, one, two = _one(rng, [grid for grid in grids if grid[0] == other])
    return [Thing(colour, one), Thing(colour, two), Thing(other, one), Thing(other, two)]


def _one(rng: np.random.Generator, choices: list[Any]) -> Any:
    return choices[rng.integers(len(choices))]
