"""What version 1 draws and says: sentences name what is meant, splits hold back what they say, and nothing but the sentence tells which thing is meant."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from envs.language.draws import Draw, draw
from envs.language.grammar import TRAIN, UNSEEN, parse, templates
from envs.language.things import COLOURS, FLAT, HELD_OUT, OBJECTS, PADS, SPLITS, Thing, is_held_out

TASKS = tuple(TRAIN)
TWO = ("place_left_of", "stack_centered")
each_task = pytest.mark.parametrize("task", TASKS)
each_split = pytest.mark.parametrize("split", SPLITS)


def draws(task: str, split: str, count: int = 1000) -> list[Draw]:
    return [draw(np.random.default_rng([7, number]), task, split) for number in range(count)]


@each_task
def test_every_sentence_parses_back_to_what_it_names(task: str) -> None:
    shapes = PADS if task == "navigate_to" else OBJECTS
    everything = [Thing(colour, shape) for colour in COLOURS for shape in shapes]
    sentences = set()
    for split in SPLITS:
        for template in templates(task, split):
            for a, b in zip(everything, everything[1:] + everything[:1], strict=True):
                sentence = template.format(a=a, b=b)
                sentences.add(sentence)
                assert parse(sentence) == (task, a, b if task in TWO else None)
    assert len(sentences) == len(everything) * (len(TRAIN[task]) + len(UNSEEN[task])), "two templates say the same"


def test_a_sentence_of_none_of_them_is_refused() -> None:
    for sentence in ("", "pick up the red", "pick up the pink cube", "drive to the red cube", "pick up the red cube and the blue ball", "PICK UP THE RED CUBE"):
        with pytest.raises(ValueError, match="none of the grammar's sentences"):
            parse(sentence)


def test_the_first_sentences_are_those_of_version_0() -> None:
    from envs import task_class

    red, green = Thing("red", "cube"), Thing("green", "cube")
    assert [TRAIN[task][0].format(a=red, b=green) for task in TASKS[:3]] == [task_class(task).instruction for task in TASKS[:3]]


@each_task
def test_sentences_of_the_splits_are_disjoint(task: str) -> None:
    assert not set(TRAIN[task]) & set(UNSEEN[task])
    said = {split: {scene.sentence for scene in draws(task, split)} for split in SPLITS}
    assert not said["train"] & said["unseen_words"] and not said["train"] & said["unseen_pairs"]
    words = {sentence.format(a="", b="") for sentence in TRAIN[task]}, {sentence.format(a="", b="") for sentence in UNSEEN[task]}
    assert not words[0] & words[1]


def test_at_least_four_pairs_are_held_out_and_their_colours_and_shapes_are_not() -> None:
    for shapes, pairs in HELD_OUT.items():
        assert len(pairs) >= 4 and len(COLOURS) >= 6
        seen = {(colour, shape) for colour in COLOURS for shape in shapes} - pairs
        assert {colour for colour, _ in seen} == set(COLOURS) and {shape for _, shape in seen} == set(shapes)


@each_task
@each_split
def test_a_thousand_scenes_keep_what_is_promised(task: str, split: str) -> None:
    shapes, named = (PADS if task == "navigate_to" else OBJECTS), 2 if task in TWO else 1
    for scene in draws(task, split):
        assert len(set(scene.things)) == 4, "each thing once, so that its name tells it"
        assert {thing.shape for thing in scene.things} <= set(shapes)
        for thing in scene.things:  # of every thing, so of those that are named
            others = [other for other in scene.things if other != thing]
            assert any(other.colour == thing.colour for other in others) and any(other.shape == thing.shape for other in others)
        assert parse(scene.sentence) == (task, scene.things[0], scene.things[1] if named == 2 else None)
        if task == "stack_centered":
            assert {thing.shape for thing in scene.things[:2]} <= set(FLAT)
        held_out = [is_held_out(thing) for thing in scene.things]
        assert held_out == [split == "unseen_pairs", False, False, False]


@each_task
def test_each_colour_shape_and_sentence_comes_up(task: str) -> None:
    scenes = draws(task, "train")
    shapes = PADS if task == "navigate_to" else FLAT if task == "stack_centered" else OBJECTS
    targets = Counter(scene.things[0] for scene in scenes)
    able = {Thing(colour, shape) for colour in COLOURS for shape in shapes}
    assert set(targets) == {thing for thing in able if not is_held_out(thing)}
    assert min(targets.values()) > 0.5 * len(scenes) / len(targets)
    starts = Counter(next(t for t in TRAIN[task] if t.format(a=scene.things[0], b=scene.things[1]) == scene.sentence) for scene in scenes)
    assert set(starts) == set(TRAIN[task]) and min(starts.values()) > 0.18 * len(scenes)
    assert {scene.things[0] for scene in draws(task, "unseen_pairs")} == {Thing(*pair) for pair in HELD_OUT[PADS if task == "navigate_to" else OBJECTS]}


@pytest.mark.parametrize("task", ["pick_at_xy", "navigate_to"])
def test_what_lies_there_does_not_tell_what_is_meant(task: str) -> None:
    """In each scene (as a set) every thing is meant equally often: without the instruction one in four is right."""
    meant: dict[frozenset[Thing], Counter[Thing]] = defaultdict(Counter)
    for scene in draws(task, "train", 6000):
        meant[frozenset(scene.things)][scene.things[0]] += 1
    assert len(meant) >= 12
    for counts in meant.values():
        total = sum(counts.values())
        assert len(counts) == 4 and max(counts.values()) < total / 4 + 4 * np.sqrt(total * 3 / 16)


@each_task
def test_unseen_words_are_said_of_the_same_scenes(task: str) -> None:
    for seen, unseen in zip(draws(task, "train", 50), draws(task, "unseen_words", 50), strict=True):
        assert seen.things == unseen.things and seen.sentence != unseen.sentence
