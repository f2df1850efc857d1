"""Which things are drawn: never what is kept for probes, always the same for the same generator, and only where a task can show them."""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
import pytest

from envs.language.things import COLOURS
from envs.variety import COLOURED, MESHES, OWN, SHAPES, UNSEEN_COLOURS, UNSEEN_MESHES, Item, check_things, draw, is_left_out
from whatwhere.errors import BadInput

DRAWN = [item for seed in range(300) for item in draw(np.random.default_rng(seed), 3)]


def hue_of(item: Item) -> float:
    return 360 * colorsys.rgb_to_hsv(*item.rgba[:3])[0]


def test_everything_is_drawn_but_what_probes_ask_for() -> None:
    assert {item.shape for item in DRAWN} == {*SHAPES, *MESHES} - set(UNSEEN_MESHES)
    assert {item.grade for item in DRAWN if item.shape == "can"} == {0, 1}
    assert 0.45 < np.mean([item.shape in MESHES for item in DRAWN]) < 0.55


def test_no_thing_has_a_colour_that_probes_ask_for() -> None:
    tinted = [item for item in DRAWN if item.look != OWN and item.look not in COLOURED]
    assert len(tinted) > 300 and all(not is_left_out(hue_of(item)) for item in tinted)
    assert len({round(hue_of(item) / 30) for item in tinted}) > 8  # of all others
    assert all(len(set(item.rgba[:3])) == 1 for item in DRAWN if item.look == OWN or item.look in COLOURED)  # those keep their own
    named = [360 * colorsys.rgb_to_hsv(*rgba[:3])[0] for rgba in COLOURS.values()]
    assert min(abs((a - b + 180) % 360 - 180) for a in named for b in UNSEEN_COLOURS.values()) > 30


@pytest.mark.parametrize(("hue", "left_out"), [(87, True), (63, True), (61, False), (113, False), (325, True), (349, True), (351, False), (0, False)])
def test_hues_that_are_left_out(hue: float, left_out: bool) -> None:
    assert is_left_out(hue) == left_out


def test_sizes_are_within_their_bounds_and_sides_equal_where_they_must_be() -> None:
    for item in DRAWN:
        if item.shape in SHAPES:
            assert all(low <= half <= high for half, (low, high) in zip(item.half_m, SHAPES[item.shape], strict=True))
            assert len(set(item.half_m)) == {"cube": 1, "ball": 1, "cylinder": 2}.get(item.shape, 3)


def test_a_target_lies_there_once_in_its_own_texture() -> None:
    for seed in range(50):
        first, *others = draw(np.random.default_rng(seed), 3, "milk")
        assert (first.shape, first.look) == ("milk", OWN) and "milk" not in [other.shape for other in others]


def test_the_same_generator_draws_the_same_and_numbers_tell_everything() -> None:
    first, again = (draw(np.random.default_rng(3), 3) for _ in range(2))
    assert first == again != draw(np.random.default_rng(4), 3)
    item = first[0]
    changed = {"shape": "ball", "half_m": (0.01, 0.02, 0.03), "grade": 5, "look": "clay", "rgba": (0.1, 0.2, 0.3, 1.0)}
    for name, value in changed.items():
        assert dataclasses.replace(item, **{name: value}).numbers() != item.numbers(), name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("navigate_to", "varied"), "things=varied: nothing lies on a table in task=navigate_to"),
        (("pick_at_xy", "varied", 1), "in version 1"),
        (("pick_at_xy", "varied", 0, "which"), "motion=which"),
        (("pick_at_xy", "strange"), "things"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments: tuple, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check_things(*arguments)
    check_things(arguments[0], None, *arguments[2:])
