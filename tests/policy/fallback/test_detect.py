"""What counts as a failing camera or instruction, and what does not: the limits are told by both."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.demos import collect
from envs.demos.episodes import episode_paths, read_episode
from policy.fallback.detect import FROZEN_STEPS, blank, is_frozen, received, unheard
from whatwhere.command import parse
from whatwhere.errors import BadInput

CAMERAS, SIZE = ("agentview", "hand"), 16


def pair(low: int = 60, high: int = 200) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (2, SIZE, SIZE, 3), dtype=np.uint8)


def test_black_and_one_colour() -> None:
    for spoilt, why in ((0, "is black"), (12, "is black"), (128, "shows one colour"), (255, "shows one colour")):
        for when in (0, 1):
            frames = pair()
            frames[when] = spoilt
            assert blank(frames) == why, "either frame of a pair"
    noise = np.random.default_rng(1).integers(0, 8, (2, SIZE, SIZE, 3), dtype=np.uint8)
    assert blank(noise) == "is black", "with the noise of a covered lens"
    dark = (pair() * 0.2).astype(np.uint8)
    assert blank(pair()) is None and blank(dark) is None, "a dark room is not black"
    night = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    night[:, 3:6, 3:6] = 200
    assert blank(night) is None, "something bright on black is a picture"


def test_a_camera_is_frozen_only_where_something_ought_to_have_moved() -> None:
    still, moved = np.zeros(4), np.array([0.0, 2.5, 0.0, 0.0])
    assert is_frozen(FROZEN_STEPS, still, moved)
    assert not is_frozen(FROZEN_STEPS - 1, still, moved), "too soon to say"
    assert not is_frozen(1000, still, still + 1.0), "the hand may move a little above the picture"
    assert not is_frozen(1000, np.zeros(0), np.zeros(0)), "nothing is known of the robot"


def test_pictures_that_are_none() -> None:
    whole = np.stack([pair(), pair()])
    same, faults = received(whole, CAMERAS, SIZE)
    assert same is whole and faults == {}
    broken = whole.astype(np.float32)
    broken[1, 0, 3, 3] = np.nan
    found, faults = received(broken, CAMERAS, SIZE)
    assert faults == {"hand": "has NaN or infinity"} and found.dtype == np.uint8
    assert np.array_equal(found[0], whole[0]) and not found[1].any()
    found, faults = received({"agentview": whole[0]}, CAMERAS, SIZE)
    assert faults == {"hand": "is missing"} and np.array_equal(found[0], whole[0])
    assert received(None, CAMERAS, SIZE)[1] == {"agentview": "is missing", "hand": "is missing"}
    assert received({"agentview": None, "hand": whole[1]}, CAMERAS, SIZE)[1] == {"agentview": "is missing"}
    for wrong in ({"hand": whole[1][0]}, {"hand": whole[1] + 0.5}, {"hand": whole[1].astype(np.float32) * 2}, {"hand": np.full(whole[1].shape, "x")}):
        with pytest.raises(BadInput, match="observation: frames: hand: found"):
            received(wrong, CAMERAS, SIZE)


@pytest.mark.parametrize(
    ("instruction", "why"),
    [
        ("pick up the cube", None),
        ("PICK banana", None),
        ("", "the instruction is empty"),
        (" .,!", "the instruction is empty"),
        ("banana banana split", "the instruction has no word that was learnt"),
    ],
)
def test_instructions(instruction: str, why: str | None) -> None:
    assert unheard(instruction, {"pick", "up", "the", "cube"}) == why
    assert unheard(instruction, ()) == (why if why and "empty" in why else None), "what is known is not known"


@pytest.mark.slow
@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("task", ["pick_at_xy", "place_left_of", "stack_centered", "navigate_to"])
def test_it_never_fires_on_an_expert_s_episodes(task: str, version: int, tmp_path: Path) -> None:
    words = [f"task={task}", f"version={version}", "n=2", f"out={tmp_path}"]
    collect.main(parse("envs.conf", "collect", collect.Settings, words))
    assert not alarms(tmp_path)


def alarms(folder: Path, most: int = 25) -> Counter[str]:
    """What fires on the recorded pictures of a folder, as an agent that is asked at every step would see them."""
    found: Counter[str] = Counter()
    episodes: list[Any] = [read_episode(path) for path in episode_paths(folder)[:most]]
    scale = np.concatenate([episode.proprio for episode in episodes]).std(axis=0).clip(1e-3)
    for episode in episodes:
        if episode.frames is None:
            continue
        frames, own = episode.frames[: len(episode.actions)], episode.proprio / scale
        for camera in range(frames.shape[1]):
            same = 0
            for t in range(len(frames)):
                same = same if np.array_equal(frames[t, camera], frames[same, camera]) else t
                found["blank"] += blank(frames[[max(t - 4, 0), t], camera]) is not None
                found["frozen"] += is_frozen(t - same, own[same], own[t])
    return +found
