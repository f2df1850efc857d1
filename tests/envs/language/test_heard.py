"""What a user's own sentence names: in any order, with capitals and punctuation, and what is not clear is said."""

from __future__ import annotations

import numpy as np
import pytest

from envs.language.draws import draw
from envs.language.grammar import TRAIN, UNSEEN, parse
from envs.language.heard import heard, order
from envs.language.things import SPLITS, Thing

YELLOW, RED, BLUE = Thing("yellow", "cylinder"), Thing("red", "cube"), Thing("blue", "ball")


@pytest.mark.parametrize("task", TRAIN)
def test_every_sentence_of_the_grammar_is_heard_as_it_is_meant(task: str) -> None:
    rng = np.random.default_rng(0)
    for split in SPLITS:
        for _ in range(40):
            sentence = draw(rng, task, split).sentence
            _, meant, place = parse(sentence)
            for way in (sentence, sentence.upper(), f"  {sentence.capitalize()}!! ", sentence.replace(" ", ",  ")):
                assert heard(way, task) == ((meant,) if place is None else (meant, place)), way
    for template in (*TRAIN[task], *UNSEEN[task]):
        named = (RED, BLUE) if task != "navigate_to" else (Thing("red", "cross"), Thing("blue", "circle"))
        assert heard(template.format(a=named[0], b=named[1]), task)[0] == named[0], template


@pytest.mark.parametrize(
    ("sentence", "task", "named"),
    [
        ("Yellow cylinder, please.", "pick_at_xy", (YELLOW,)),
        ("the yellow cylinder -- yes, the YELLOW cylinder -- pick it up", "pick_at_xy", (YELLOW,)),
        ("On the red cube, put the blue ball", "place_left_of", (BLUE, RED)),
        ("To the left of the red cube: the blue ball", "place_left_of", (BLUE, RED)),
        ("I want the blue ball to lie left of the red cube", "place_left_of", (BLUE, RED)),
    ],
)
def test_own_words(sentence: str, task: str, named: tuple[Thing, ...]) -> None:
    assert heard(sentence, task) == named


@pytest.mark.parametrize(
    ("sentence", "task", "why"),
    [
        ("", "pick_at_xy", "names nothing; pick_at_xy needs one thing"),
        ("take the yellow one", "pick_at_xy", "names nothing"),
        ("take the red cube or the blue ball", "pick_at_xy", "names red cube, blue ball"),
        ("stack the red cube", "stack_centered", "needs two things"),
        ("put the red cube left of the red cube", "place_left_of", "names red cube; place_left_of needs two"),
    ],
)
def test_what_is_not_clear_is_said(sentence: str, task: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        heard(sentence, task)


def test_what_is_meant_comes_first_and_must_be_there() -> None:
    there = [RED, YELLOW, BLUE, Thing("red", "ball")]
    assert order((BLUE, RED), there, "place_left_of") == [2, 0, 1, 3]
    with pytest.raises(ValueError, match="there is no green cube here"):
        order((Thing("green", "cube"),), there, "pick_at_xy")
    with pytest.raises(ValueError, match="a ball cannot be stacked"):
        order((RED, BLUE), there, "stack_centered")
