"""The things that instructions of version 1 name: a colour and a shape; and which of them no training shows (`split`)."""

from __future__ import annotations

from dataclasses import dataclass

# Red, green, blue and yellow are those of version 0 and its distractors.
COLOURS: dict[str, tuple[float, float, float, float]] = {
    "red": (0.85, 0.08, 0.08, 1.0),
    "green": (0.10, 0.65, 0.15, 1.0),
    "blue": (0.10, 0.25, 0.85, 1.0),
    "yellow": (0.90, 0.75, 0.10, 1.0),
    "purple": (0.50, 0.15, 0.65, 1.0),
    "cyan": (0.10, 0.75, 0.80, 1.0),
}
OBJECTS = ("cube", "ball", "cylinder")  # on the table
FLAT = ("cube", "cylinder")  # what can be stacked
PADS = ("square", "circle", "cross")  # on the floor
# Pairs that are never there in split=train and split=unseen_words. Every colour keeps two shapes, every shape four colours; all can be stacked.
HELD_OUT = {
    OBJECTS: frozenset({("red", "cylinder"), ("green", "cylinder"), ("blue", "cube"), ("yellow", "cube")}),
    PADS: frozenset({("red", "cross"), ("green", "cross"), ("blue", "square"), ("yellow", "square")}),
}
# train: pairs and sentences for training; unseen_pairs: what is meant is one of `HELD_OUT`; unseen_words: sentences of `grammar.UNSEEN`.
SPLITS = ("train", "unseen_pairs", "unseen_words")


@dataclass(frozen=True)
class Thing:
    """What an instruction can name."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"

    @property
    def rgba(self) -> tuple[float, float, float, float]:
        return COLOURS[self.colour]


def is_held_out(thing: Thing) -> bool:
    """Whether training never shows it."""
    return any((thing.colour, thing.shape) in pairs for pairs in HELD_OUT.values())
