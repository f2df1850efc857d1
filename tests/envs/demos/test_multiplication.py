"""How segments of motion are found and moved: values that a pencil gives, without a simulator."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from envs.demos.multiplication.legs import Approach, Carry, blend, travelled
from envs.demos.multiplication.moment import Moment
from envs.demos.multiplication.planar import Planar, between, heading, least_turn, rotated, symmetry_of, vertical
from envs.demos.multiplication.segments import holds, on_the_way, to_the_end
from envs.demos.multiplication.sources import Frame, Source, alike, frames_of
from envs.demos.multiplication.trace import GAIN, Trace, bridged, slips

QUARTER = np.pi / 2
SQUARE = np.array([[x, y] for x in (-1, 1) for y in (-1, 1)], float)
DOWN = np.diag([1.0, -1.0, -1.0])  # a hand that points down


def now_at(hand: Any, **objects: tuple[np.ndarray, np.ndarray]) -> Moment:
    """A hand that points down, with open fingers."""
    return Moment(np.asarray(hand, float), DOWN, np.array([0.04, -0.04]), objects, frozenset())


def made(hand: Any, closing: Any, things: dict[str, Any], grasped: dict[str, Any], **changes: Any) -> Trace:
    """A trace in which the hand's next place is what was wanted, and fingers follow their command at once."""
    hand, closing = np.asarray(hand, float), np.asarray(closing, bool)
    steps = len(hand)
    values: dict[str, Any] = {
        "hand_pos": hand,
        "hand_rot": np.tile(DOWN, (steps, 1, 1)),
        "fingers": np.where(closing[:, None], 0.02, 0.04) * [1, -1],
        "wanted_pos": np.concatenate([hand[1:], hand[-1:]]),
        "wanted_rot": np.tile(DOWN, (steps, 1, 1)),
        "closing": closing,
        "meant_closing": closing,
        "still": np.zeros(steps, bool),
        "slipping": np.zeros(steps, bool),
        "objects": {name: np.asarray(path, float) for name, path in things.items()},
        "headings": {name: np.zeros(steps) for name in things},
        "grasped": {name: np.asarray(grasped.get(name, np.zeros(steps)), bool) for name in things},
    }
    return Trace(**{**values, **changes})


def picked(x: float = 0.0, y: float = 0.0, goal: tuple[float, float] | None = None, reference: tuple[float, float] = (0.3, 0.3)) -> Trace:
    """From (−0.2, 0, 0.3) to the object at (x, y, 0), down, close, up; with a `goal` over it, down, open, up. One centimetre a step, two steps of closing."""
    places = [np.array([-0.2, 0, 0.3]), np.array([x, y, 0.2]), np.array([x, y, 0.0])]
    hand = [*line(places[0], places[1]), *line(places[1], places[2])]
    close = len(hand)
    hand += [places[2]] * 3
    lift = len(hand)
    hand += line(places[2], np.array([x, y, 0.2]))
    opening = None
    if goal is not None:
        hand += [*line(np.array([x, y, 0.2]), np.array([*goal, 0.2])), *line(np.array([*goal, 0.2]), np.array([*goal, 0.0]))]
        opening = len(hand)
        hand += [*[np.array([*goal, 0.0])] * 2, *line(np.array([*goal, 0.0]), np.array([*goal, 0.1]))]
    steps, now = len(hand), np.arange(len(hand))
    thing = np.tile(places[2], (steps, 1))
    held = (now >= close + 2) & (now <= (steps if opening is None else opening))
    thing[lift:] = np.array(hand[lift:])
    if opening is not None:
        thing[opening:] = hand[opening]
    closing = (now >= close) & (now < (steps if opening is None else opening))
    return made(hand, closing, {"cube": thing, "pad": np.tile([*reference, 0.0], (steps, 1))}, {"cube": held})


def line(start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
    count = max(1, round(float(np.linalg.norm(end - start)) / 0.01))
    return [start + (end - start) * k / count for k in range(count)]


def test_a_turn_about_a_pivot_and_a_shift() -> None:
    moved = Planar(QUARTER, np.array([1.0, 2.0, 0.0]), np.array([0.5, 0.0, 0.1]))
    np.testing.assert_allclose(moved.points(np.array([[2.0, 2.0, 1.0], [1.0, 2.0, 0.0]])), [[1.5, 3.0, 1.1], [1.5, 2.0, 0.1]], atol=1e-12)
    there = between(np.array([0.1, 0.0, 0.8]), np.array([0.0, 0.2, 0.8]), np.pi)
    np.testing.assert_allclose(there.points(np.array([0.1, 0.05, 0.9])), [0.0, 0.15, 0.9], atol=1e-12)


def test_headings_and_the_least_turn_between_them() -> None:
    assert heading(vertical(0.3)) == pytest.approx(0.3)
    fallen = vertical(0.3) @ rotated(np.array([QUARTER, 0, 0]))  # on another face: a cube still has a heading, up to a quarter turn
    assert least_turn(heading(fallen) - heading(vertical(0.3)), 4) == pytest.approx(0)
    assert least_turn(1.5, 4) == pytest.approx(1.5 - QUARTER)
    assert least_turn(1.5, 2) == pytest.approx(1.5)
    assert least_turn(3.0, 2) == pytest.approx(3.0 - np.pi)
    assert least_turn(-3.5, 1) == pytest.approx(2 * np.pi - 3.5)
    assert least_turn(1.5, 0, near=0.2) == 0.2
    assert least_turn(0.8, 4, near=0.7) == pytest.approx(0.8)  # an object that turns is followed beyond an eighth of a turn


def test_what_turns_leave_an_outline_as_it_was() -> None:
    angles = np.arange(72) * np.pi / 36
    assert symmetry_of(np.stack([np.cos(angles), np.sin(angles)], axis=1)) == 0
    assert symmetry_of(SQUARE) == 4
    assert symmetry_of(SQUARE * [2, 1]) == 2
    assert symmetry_of(SQUARE * [2, 1] + [0.8, 0.3]) == 1


def test_slips_are_told_from_noise() -> None:
    meant = np.zeros((9, 7))
    meant[:, 6] = -1
    sent = meant + np.array([0.3, -0.4, 0.2, 0.1, 0.1, 0.1, 0])
    assert not slips(meant, sent).any()
    sent[2, 0], sent[4, 6] = 1.0, 1.0  # pushed far; the gripper does the opposite
    assert np.flatnonzero(slips(meant, sent)).tolist() == [2, 3, 4]
    assert bridged(np.array([1, 0, 0, 1, 0, 0, 0, 0, 1], bool), 3).tolist() == [True] * 4 + [False] * 4 + [True]


def test_the_boundaries_of_a_pick() -> None:
    trace = picked(x=0.1)
    (hold,) = holds(trace)
    down = int(np.flatnonzero(trace.closing)[0])
    assert (hold.name, hold.begin, hold.closing, hold.grasped) == ("cube", 0, down, down + 2)
    assert np.linalg.norm(trace.hand_pos[hold.near] - [0.1, 0, 0]) == pytest.approx(0.075, abs=0.006)  # the first step within 8 cm
    assert trace.hand_pos[hold.left][2] == pytest.approx(0.045, abs=0.006)  # the first farther than 4 cm
    assert hold.goal == hold.opening == hold.end == len(trace) and not hold.is_let_go


def test_the_boundaries_of_a_placement() -> None:
    trace = picked(goal=(0.0, 0.25))
    (hold,) = holds(trace)
    assert hold.is_let_go
    assert hold.opening == int(np.flatnonzero(trace.closing)[-1]) + 1
    assert trace.objects["cube"][hold.goal][2] == pytest.approx(0.075, abs=0.006)
    assert hold.end == len(trace) or trace.hand_pos[hold.end - 1][2] > 0.08


def test_wrong_tries_pauses_and_slips_are_left_out() -> None:
    good = picked(x=0.1)
    away = int(holds(good)[0].near) - 5  # far from the object the hand is closed and opened again, after a pause
    closing = good.closing.copy()
    closing[away - 4 : away - 2] = True
    still = np.zeros(len(good), bool)
    still[away - 1] = True
    tried = dataclasses.replace(good, closing=closing, meant_closing=closing, still=still)
    (hold,) = holds(tried)
    assert hold.begin == away - 2
    assert on_the_way(tried, hold.begin, hold.near, False).tolist() == [away - 2, *range(away, hold.near)]
    slipping = np.zeros(len(good), bool)
    slipping[3:6] = True
    slipped = dataclasses.replace(good, slipping=slipping)
    (hold,) = holds(slipped)
    assert hold.straight == {"way"} and on_the_way(slipped, 0, hold.near, True).tolist() == [0, 1, 2]


def test_near_the_object_only_steps_that_came_nearer_are_kept() -> None:
    heights = np.array([0.08, 0.06, 0.03, 0.05, 0.07, 0.04, 0.02, 0.03, 0.01, 0.0])
    hand = np.stack([np.zeros(10), np.zeros(10), heights], axis=1)
    trace = made(hand, np.zeros(10), {"cube": np.zeros((10, 3))}, {})
    assert heights[to_the_end(trace, trace.hand_pos, 0, 9)].tolist() == [0.08, 0.07, 0.04, 0.03, 0.01]
    turning = rotated(np.array([0, 0, 1]) * np.linspace(0.6, 0, 10)[:, None]) @ DOWN  # a turn in place comes nearer, too
    trace = made(np.zeros((10, 3)), np.zeros(10), {"cube": np.zeros((10, 3))}, {}, hand_rot=turning)
    assert to_the_end(trace, trace.hand_pos, 0, 9).tolist() == list(range(9))


def test_of_several_grasps_of_one_object_the_last_counts() -> None:
    first, again = picked(x=0.1, goal=(0.0, 0.2)), picked(x=0.0, y=0.2)
    count = len(first)
    both = {field.name: getattr(first, field.name) for field in dataclasses.fields(Trace)}
    for name, value in both.items():
        later = getattr(again, name)
        both[name] = {key: np.concatenate([value[key], later[key]]) for key in value} if isinstance(value, dict) else np.concatenate([value, later])
    (hold,) = holds(Trace(**both))
    assert hold.begin == int(np.flatnonzero(first.closing)[-1]) + 1  # the way there begins when the wrong try was over
    assert hold.closing == count + int(np.flatnonzero(again.closing)[0]) and not hold.is_let_go


def test_what_is_only_touched_is_not_carried() -> None:
    trace = picked(x=0.1)
    assert holds(dataclasses.replace(trace, objects={**trace.objects, "cube": np.tile([0.1, 0, 0], (len(trace), 1))})) == []


def test_an_approach_moves_with_its_object() -> None:
    """The object lies 30 cm to the side, turned by a quarter of a turn: near it, the hand is where it was relative to it; at the start, where it starts."""
    trace = picked(x=0.1)
    turned = {**trace.headings, "cube": np.full(len(trace), heading(np.eye(3)))}
    trace = dataclasses.replace(trace, headings=turned, hand_pos=trace.hand_pos + [0.01, 0, 0], wanted_pos=trace.wanted_pos + [0.01, 0, 0])
    (hold,) = holds(trace)
    now = now_at([-0.2, 0.02, 0.31], cube=(np.array([0.1, 0.3, 0.02]), vertical(QUARTER)), pad=(np.zeros(3), np.eye(3)))
    leg = Approach(trace, hold, 1, now)
    np.testing.assert_allclose(leg.aim(0, now).was, now.hand_pos, atol=1e-9)
    aim = leg.aim(leg.closes, now)
    np.testing.assert_allclose(aim.was, [0.1, 0.31, 0.02], atol=1e-9)  # 1 cm ahead of the object in x there, in y here
    np.testing.assert_allclose(aim.rot, vertical(QUARTER) @ DOWN, atol=1e-9)
    near = leg.aim(leg.free, now).was
    np.testing.assert_allclose(near, [0.1, 0.31, 0.02 + trace.hand_pos[hold.near][2]], atol=1e-9)
    leg.close(now)
    pushed = dataclasses.replace(now, objects={**now.objects, "cube": (np.array([0.5, 0.5, 0.02]), np.eye(3))})
    np.testing.assert_allclose(leg.aim(leg.closes, pushed).was, [0.1, 0.31, 0.02], atol=1e-9)  # the fingers close where it lay


def test_on_the_way_the_path_is_between_the_two() -> None:
    moved = between(np.zeros(3), np.array([0.4, 0.0, 0.0]), 0.0)
    np.testing.assert_allclose(blend(np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.1, 0.0]), moved, 0.25), [0.2, 0.275, 0.3])
    np.testing.assert_allclose(travelled(np.array([[0, 0, 0], [1, 0, 0], [1, 3, 0], [1, 3, 0]], float)), [0, 0.25, 1, 1])
    assert travelled(np.zeros((0, 3))).shape == (0,)


def test_what_is_carried_is_brought_where_its_goal_is_now() -> None:
    """The goal's object lies elsewhere, and the hand holds the object 1 cm beside where the source held it: the object still comes to its place."""
    trace = picked(goal=(0.0, 0.25), reference=(0.0, 0.35))
    (hold,) = holds(trace)
    now = now_at([0.21, 0.1, 0.05], cube=(np.array([0.2, 0.1, 0.05]), np.eye(3)), pad=(np.array([-0.1, -0.1, 0.0]), vertical(0.5)))
    leg = Carry(trace, hold, Frame("pad"), {"pad": 4, "cube": 4}, np.array([0.2, 0.1, 0.0]), now)
    np.testing.assert_allclose(leg.aim(0, now).was, now.hand_pos, atol=0.011)
    last = leg.aim(len(leg.steps) - 1, now).was
    np.testing.assert_allclose(last - [0.01, 0, 0], np.array([-0.1, -0.2, 0.01]), atol=1e-9)  # 10 cm before the pad, as in the source
    turning = Carry(trace, hold, Frame("pad", turns=True), {"pad": 1, "cube": 4}, np.array([0.2, 0.1, 0.0]), now)
    assert not np.allclose(turning.aim(len(leg.steps) - 1, now).was, last, atol=0.01)


def test_an_action_told_again_for_the_same_place_is_the_recorded_one() -> None:
    """`wanted` is a share of the way that the action asks for: GAIN times that way is the action."""
    place, action, reach = np.array([0.1, 0.2, 0.9]), np.array([0.5, -1.0, 0.25]), 0.05
    wanted = place + action * reach / GAIN
    np.testing.assert_allclose(GAIN * (wanted - place) / reach, action)
    np.testing.assert_allclose(GAIN * (wanted - (place + [0.01, 0, 0])) / reach, action - [0.6, 0, 0])  # and a correction where the hand is 1 cm too far


def test_the_frame_of_a_goal_is_the_one_in_which_the_places_agree() -> None:
    rng = np.random.default_rng(0)
    symmetry = {"cube": 4, "pad": 4}

    def sources(goals: list[tuple[float, float]], references: list[tuple[float, float]]) -> list[Source]:
        traces = [picked(goal=goal, reference=reference) for goal, reference in zip(goals, references, strict=True)]
        return [Source(i, trace, tuple(holds(trace))) for i, trace in enumerate(traces)]

    references = [(float(x), float(y)) for x, y in rng.uniform(-0.3, 0.3, (4, 2))]
    beside = sources([(x, y - 0.08) for x, y in references], references)
    assert frames_of(beside, symmetry) == [Frame("pad")]
    fixed = sources([(0.25, 0.25)] * 4, references)
    assert frames_of(fixed, symmetry) == [Frame()]
    assert frames_of(beside[:1], symmetry) == [Frame("pad")]  # one alone: the nearest
    assert frames_of(sources([(0.0, -0.3)], [(0.3, 0.3)]), symmetry) == [Frame()]


def test_demonstrations_in_which_other_things_happen_are_not_mixed() -> None:
    lifted = [Source(i, trace, tuple(holds(trace))) for i, trace in enumerate([picked(0.1), picked(0.2), picked(goal=(0, 0.2))])]
    assert [source.number for source in alike(lifted)] == [0, 1]
    idle = picked(0.1)
    assert alike([Source(0, dataclasses.replace(idle, grasped={}), ())]) == []
