"""The probe of what lies there and on which side."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy.probe import Settings, main
from policy.probing import contents
from policy.probing.scenes import read_scenes
from policy.storage.checkpoint import save_streams
from policy.streams import TwoStreamEncoder
from tests.policy.small import SIZE, config
from whatwhere.command import parse
from whatwhere.errors import BadInput
from whatwhere.files import write_json

FIT, HELD_OUT = 120, 40


def draw(root: Path, version: int, **labels: Any) -> Path:
    """Scenes with a dot where the target lies; in version 1 things of three colours and two shapes."""
    rng, count = np.random.default_rng(0), FIT + HELD_OUT
    frames = np.zeros((count, 1, 2, SIZE, SIZE, 3), np.uint8)
    places = np.zeros((count, 2, 3), np.float32)
    places[:, :, :2] = rng.integers(0, SIZE - 4, (count, 1, 2)) / 100
    for number, (x, y) in enumerate((100 * places[:, 0, :2]).round().astype(int)):
        frames[number, :, :, x : x + 4, y : y + 4] = 255
    found = {"target_pos_world": places, "visible_pixels": np.full((count, 1), 9)}
    if version:
        found |= {"colours": rng.integers(0, 3, (count, 2)), "shapes": rng.integers(0, 2, (count, 2))}
    root.mkdir(parents=True)
    np.save(root / "frames.npy", frames)
    np.savez(root / "labels.npz", **(found | labels))
    named = {"version": 1, "colours": ["red", "green", "blue"], "shapes": ["cube", "ball"]} if version else {}
    write_json(root / "index.json", {"kind": "scenes", "scenes": FIT, "held_out": HELD_OUT, "cameras": ["agentview"], **named})
    return root


def told(records: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["streams"], row["read"]): row for row in records}


def features(cls: np.ndarray) -> Any:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(len(cls), 4, 8))
    streams = {"CLS": (cls,), "average": (noise.mean(axis=1),), "patches": (noise,)}
    return {"P": streams, "M": streams, "fused": streams}


def test_sides_are_those_of_the_middle_and_found_where_they_are_in_a_token(tmp_path: Path) -> None:
    scenes = read_scenes(draw(tmp_path / "task", 0))
    assert scenes.present is None
    sides = contents.questions(scenes)
    x, y = scenes.xy_cm[:FIT].T
    assert np.array_equal(sides[:FIT, 0], y > np.median(y)) and np.array_equal(sides[:FIT, 1], x > np.median(x))
    rng = np.random.default_rng(2)
    turned = scenes.xy_cm @ rng.normal(size=(2, 6))  # x and y, mixed
    found = told(contents.contents_probe(features(turned), scenes))
    assert found["fused", "CLS"]["left_right"] > 0.9 and found["P", "CLS"]["near_far"] > 0.9
    assert 0.2 < found["P", "average"]["left_right"] < 0.8, "noise says nothing"
    assert found["P", "CLS"]["named"] is None and 0.3 < (contents.guess(scenes)["left_right"] or 0) < 0.7


def test_things_are_named_where_they_are_in_a_token(tmp_path: Path) -> None:
    colours = np.stack([np.arange(FIT + HELD_OUT) % 3, np.zeros(FIT + HELD_OUT, np.int64)], axis=1)
    shapes = np.arange(FIT + HELD_OUT)[:, None] // 3 % 2
    scenes = read_scenes(draw(tmp_path / "task", 1, colours=colours, shapes=shapes))
    assert scenes.present is not None
    assert scenes.present[:4].tolist() == [
        [True, False, False, True, False],
        [True, True, False, True, False],
        [True, False, True, True, False],
        [True, False, False, False, True],
    ]
    found = told(contents.contents_probe(features(scenes.present @ np.random.default_rng(3).normal(size=(5, 9))), scenes))
    assert found["M", "CLS"]["named"] == found["M", "CLS"]["all_named"] == 1 and found["M", "patches"]["all_named"] < 0.6
    always = contents.guess(scenes)
    right = [1.0, *(1 - scenes.present[FIT:, 1:].mean(axis=0))]  # all have red; each of the others is there in half of the scenes or fewer
    assert always["named"] == pytest.approx(np.mean(right)) and always["left_right"] is None


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = draw(tmp_path / "task", 1, colours=np.full((FIT + HELD_OUT, 2), 3))
    with pytest.raises(BadInput, match=r"labels\.npz: colours: found int64 \(160, 2\); needs \(scenes, things\), each a number below 3"):
        read_scenes(folder)


def test_the_command_writes_a_table_beside_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path / "scenes" / "named", 1)
    draw(tmp_path / "scenes" / "plain", 0)
    torch.manual_seed(0)
    save_streams(TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2), tmp_path / "run", config())
    words = {"checkpoint": tmp_path / "run", "scenes": tmp_path / "scenes", "out": tmp_path / "out", "cache": tmp_path / "cache", "tasks": "all"}
    words |= {"train": 60, "held_out": 20, "device": "cpu", "num_threads": 1, "quick": "true", "contents": "true"}
    main(parse("policy.conf", "probe", Settings, [f"{key}={value}" for key, value in words.items()]))
    text = capsys.readouterr().out
    assert "contents, named, agentview, %" in text and "CLS all named" in text and "contents, plain, agentview, %" in text and "CLS left/right" in text
    rows = list(csv.DictReader((tmp_path / "out" / "contents.csv").open()))
    assert {(row["task"], row["read"]) for row in rows} == {(task, way) for task in ("named", "plain") for way in ("CLS", "average")}
    assert json.loads((tmp_path / "out" / "probe.json").read_text())["contents"]
