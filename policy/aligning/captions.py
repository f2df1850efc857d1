"""What is said of scenes: sentences that name one of their things, and captions that name all that a camera sees, from left to right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from policy.language.vocabulary import words_of
from policy.probing.named import Named

ORDER = "from left to right"


@dataclass(frozen=True)
class Told:
    """A sentence for each thing of each of some pictures (r of them): which picture, what is meant, and the other thing that is named (-1: none)."""

    sentences: list[str]
    picture: Int[np.ndarray, " r"]
    meant: Int[np.ndarray, " r"]
    other: Int[np.ndarray, " r"]
    task: Int[np.ndarray, " r"]  # whose sentence it is, a number into the tasks of the scenes; -1: of none, it only names


def tell(scenes: Named, rows: Int[np.ndarray, " b"], rng: np.random.Generator, unseen: bool = False) -> Told:
    """Sentences of `rows`, a row for each picture; from those for training, or those held out (`unseen`)."""
    said = scenes.index.get("unseen_sentences", {}) if unseen else scenes.index["sentences"]
    choices = [(number, sentence) for number, task in enumerate(sorted(said)) for sentence in said[task]]
    choices += [] if unseen else [(-1, phrase) for phrase in scenes.index["phrases"]]
    sentences, facts = [], []
    for picture, row in enumerate(rows):
        things = [scenes.name(kind) for kind in scenes.kinds[row]]
        for meant in range(len(things)):
            task, template = choices[rng.integers(len(choices))]
            other = int(rng.choice([thing for thing in range(len(things)) if thing != meant])) if "{b}" in template else -1
            sentences.append(template.format(a=things[meant], b=things[other]))
            facts.append((picture, meant, other, task))
    return Told(sentences, *np.array(facts).T)


def caption(scenes: Named, row: int | np.integer, camera: int = 0) -> str:
    """What the camera sees, from left to right: "from left to right a red cube, a cyan ball and a red ball"."""
    things = [thing for thing in np.argsort(scenes.places[row, camera, :, 0]) if scenes.seen[row, camera, thing]]
    return " ".join([ORDER, *(f"a {scenes.name(scenes.kinds[row, thing])}" for thing in things)])


def same_caption(captions: list[str]) -> Bool[np.ndarray, "n n"]:
    """Which of them say the same."""
    return np.array(captions)[:, None] == np.array(captions)[None]


def vocabulary(scenes: Named) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of all that is said for training, and those of them that name things, both in the order of the alphabet."""
    names = {word for name in (*scenes.index["colours"], *scenes.index["shapes"]) for word in words_of(name)}
    said = [*scenes.index["phrases"], *(sentence for task in scenes.index["sentences"].values() for sentence in task), ORDER]
    others = {word for sentence in said for word in words_of(sentence.format(a="", b=""))}
    return tuple(sorted(names | others)), tuple(sorted(names))
