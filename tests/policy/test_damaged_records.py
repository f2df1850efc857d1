"""The JSON of play, scenes, caches and unfinished runs, damaged: one line with file, field, found and valid."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from policy.pretrain.curves import Curves
from policy.pretrain.footage import Play
from policy.pretrain.loop import CLOCK, _seconds
from policy.pretrain.video_folder import VideoFolder
from policy.probing.action import read_actions
from policy.probing.scenes import read_scenes
from policy.training.cache import FIELDS, TokenCache
from policy.training.resume import load_state, save_state
from whatwhere.errors import BadInput


def refused(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(BadInput) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600
    for word in words:
        assert word in text


def play(folder: Path, clips: int = 60) -> Path:
    (folder / "labels").mkdir(parents=True)
    np.save(folder / "frames.npy", np.zeros((clips, 3, 8, 8, 3), np.uint8))
    np.save(folder / "labels" / "actions.npy", np.zeros((clips, 3, 2, 7), np.float32))
    (folder / "index.json").write_text(json.dumps({"kind": "play", "clip_list": [{"take": i, "camera": "agentview"} for i in range(clips)]}))
    return folder


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "index.json: needs an object, found []"),
        ('{"clip_list": {}}', "index.json: clip_list: needs a list, found {}"),
        ('{"clip_list": [1]}', "index.json: clip_list[0]: needs an object, found 1"),
        ('{"clip_list": [{"take": [0], "camera": "a"}]}', "index.json: clip_list[0].take: needs a whole number"),
        ('{"clip_list": [{"take": 0, "camera": "\\ud800"}]}', "index.json: clip_list[0].camera: needs text"),
        ('{"clip_list": ' + "[" * 10_000, "index.json: nested deeper than 64"),
    ],
)
def test_the_index_of_play(text: str, told: str, tmp_path: Path) -> None:
    assert Play(play(tmp_path / "whole")).names[1] == "take 1"
    folder = play(tmp_path / "play")
    (folder / "index.json").write_text(text)
    refused(lambda: Play(folder), str(folder), told)


def test_play_whose_lists_and_actions_differ(tmp_path: Path) -> None:
    folder = play(tmp_path / "play")
    (folder / "index.json").write_text('{"clip_list": []}')
    refused(lambda: read_actions(folder, 0.5, 1, 50, 50, 0), "index.json lists 0 clips, labels/actions.npy has (60, 3, 2, 7)")
    folder = play(tmp_path / "other")
    np.save(folder / "labels" / "actions.npy", np.zeros((60, 3, 2, 4), np.float32))
    refused(lambda: read_actions(folder, 0.5, 1, 50, 50, 0), "needs (clips, frames, stride, 7)")


def scenes(folder: Path, n: int = 6, **labels: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / "frames.npy", np.zeros((n, 2, 2, 8, 8, 3), np.uint8))
    np.savez(folder / "labels.npz", **{"target_pos_world": np.zeros((n, 2, 3)), "visible_pixels": np.ones((n, 2)), **labels})
    (folder / "index.json").write_text(json.dumps({"kind": "scenes", "scenes": 4, "cameras": ["a", "b"]}))
    return folder


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "index.json: needs an object, found []"),
        ('{"kind": "play", "scenes": 4, "cameras": ["a", "b"]}', "index.json: kind: needs scenes, found 'play'"),
        ('{"kind": "scenes", "scenes": "4", "cameras": ["a", "b"]}', "index.json: scenes: needs a whole number"),
        ('{"kind": "scenes", "scenes": 4, "cameras": 2}', "index.json: cameras: needs a list of 1 to 16, found 2"),
        ('{"kind": "scenes", "scenes": 4, "cameras": [["a"]]}', "index.json: cameras[0]: needs a text of 1 to 255 characters, found ['a']"),
        ('{"kind": "scenes", "scenes": 4, "cameras": ["a"]}', "frames.npy: found uint8 (6, 2, 2, 8, 8, 3); needs uint8 (scenes, 1 cameras"),
    ],
)
def test_the_index_of_scenes(text: str, told: str, tmp_path: Path) -> None:
    assert len(read_scenes(scenes(tmp_path / "whole"))) == 6
    folder = scenes(tmp_path / "scenes")
    (folder / "index.json").write_text(text)
    refused(lambda: read_scenes(folder), str(folder), told)


def test_the_labels_of_scenes(tmp_path: Path) -> None:
    refused(lambda: read_scenes(scenes(tmp_path / "a", target_pos_world=np.zeros((6, 3)))), "labels.npz: found (6, 3) and (6, 2)")
    refused(lambda: read_scenes(scenes(tmp_path / "b", target_pos_world=np.full((6, 2, 3), np.nan))), "labels.npz")
    folder = scenes(tmp_path / "c")
    (folder / "labels.npz").write_bytes(b"PK\x03\x04" + b"x" * 100)
    refused(lambda: read_scenes(folder), "labels.npz is missing or not whole")
    folder = scenes(tmp_path / "bomb")
    with zipfile.ZipFile(folder / "labels.npz", "w", zipfile.ZIP_DEFLATED) as packed, packed.open("target_pos_world.npy", "w", force_zip64=True) as part:
        for _ in range(1100):
            part.write(bytes(1 << 20))
    assert (folder / "labels.npz").stat().st_size < 5 << 20
    refused(lambda: read_scenes(folder), "labels.npz: unpacks to", "bytes; more than 1073741824 are not read")


def cache(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in FIELDS:
        np.save(folder / f"{name}.npy", np.zeros((2, 5, 1, 4, 8) if name.endswith("patches") else (2, 5, 1, 8), np.float16))
    (folder / "index.json").write_text('{"shifts": 2, "reach_px": 4, "seed": 0}')
    return folder


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("null", "index.json: needs an object, found None"),
        ('{"shifts": [2], "reach_px": 4, "seed": 0}', "index.json: shifts: needs a whole number from 1 to 10000, found [2]"),
        ('{"shifts": 100000000000, "reach_px": 4, "seed": 0}', "index.json: shifts: needs a whole number from 1 to 10000"),
        ('{"shifts": 2, "reach_px": -1, "seed": 0}', "index.json: reach_px: needs a whole number from 0 to 4096"),
        ('{"shifts": 3, "reach_px": 4, "seed": 0}', "m_cls.npy: found float16 (2, 5, 1, 8), index.json says 3 copies"),
    ],
)
def test_the_index_of_a_token_cache(text: str, told: str, tmp_path: Path) -> None:
    assert TokenCache(cache(tmp_path / "whole")).table.shape == (2, 5, 2)
    folder = cache(tmp_path / "cache")
    (folder / "index.json").write_text(text)
    refused(lambda: TokenCache(folder), str(folder), told)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (None, "metadata: needs an object, found None"),
        ({"step": "x", "note": "{}"}, "metadata: step: needs a whole number, found 'x'"),
        ({"step": "1" * 5000, "note": "{}"}, "metadata: step: needs a whole number"),
        ({"step": "1"}, "metadata: note: missing"),
        ({"step": "1", "note": "["}, "note: not JSON"),
        ({"step": "1", "note": "[]"}, "note: needs an object, found []"),
        ({"step": "1", "note": '{"looked": NaN}'}, "note: looked: needs a finite number"),
    ],
)
def test_what_a_saved_state_says(metadata: Any, told: str, tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    path = tmp_path / "state.safetensors"
    save_state(path, 7, {"model": module}, optimizer, {"looked": {}})
    assert load_state(path, {"model": module}, optimizer) == (7, {"looked": {}})
    tensors = load_file(path)
    save_file(tensors, path, metadata)
    refused(lambda: load_state(path, {"model": module}, optimizer), str(path), told)
    for key, value in (("optimizer/9/exp_avg", torch.ones(2)), ("optimizer/0/exp_avg", torch.ones(3)), ("optimizer/x", torch.ones(1))):
        save_file(tensors | {key: value}, path, {"step": "1", "note": "{}"})
        refused(lambda: load_state(path, {"model": module}, optimizer), str(path), f"{key}: is of another optimiser")


def test_rows_of_footage_and_figures(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "pictures" / "a.png")
    index = tmp_path / "cache" / "index.jsonl"
    VideoFolder(tmp_path / "pictures", tmp_path / "cache", 16)
    row = json.loads(index.read_text())
    for change, told in (
        ({"key": "../../secret"}, "line 1: key: needs 32 hexadecimal digits, found '../../secret'"),
        ({"key": 5}, "line 1: key: needs 32"),
        ({"shape": 3}, "line 1: shape: needs a list of 3, found 3"),
        ({"shape": [1, 10**30, 2]}, "line 1: shape[1]: needs a"),
    ):
        index.write_text(json.dumps(row | change))
        refused(lambda: VideoFolder(tmp_path / "pictures", tmp_path / "cache", 16), f"{index}, ", told)
    (tmp_path / "figures.jsonl").write_text('{"step": "x"}\n')
    refused(lambda: Curves(tmp_path, 0, 1, 1), "figures.jsonl, line 1: step: needs a whole number")
    (tmp_path / CLOCK).write_text('{"seconds": []}')
    refused(lambda: _seconds(tmp_path), f"{CLOCK}: seconds: needs a whole number")
