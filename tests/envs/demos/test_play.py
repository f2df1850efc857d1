"""Play video: whole or not there, the same for the same seed however often it was interrupted, and labels that fit the pictures."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.demos import play
from envs.demos.play import Player, Settings, place_of
from envs.language.grammar import parse
from envs.language.things import COLOURS, Thing
from envs.tasks.table import TABLE_TOP_M
from envs.variety import LOOKS, MESHES, SHAPES, UNSEEN_MESHES
from whatwhere.errors import BadInput

SETTINGS = Settings(out="unused", clips=7, frames=4, stride=2, seed=0, tasks=("pick_at_xy",), size=48, rendering="fast", vary=0.5, num_workers=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("play")
    play.main(dataclasses.replace(SETTINGS, out=str(place)))
    return place


def test_arrays_have_the_shapes_that_the_settings_name(folder: Path) -> None:
    for name, (shape, kind) in SETTINGS.arrays().items():
        array = np.load(folder / f"{name}.npy", mmap_mode="r")
        assert (array.shape, array.dtype) == (shape, np.dtype(kind))
    assert not list(folder.rglob("*.part.npy"))
    index = json.loads((folder / "index.json").read_text())
    assert [clip["clip"] for clip in index["clip_list"]] == list(range(7))
    assert [clip["camera"] for clip in index["clip_list"]] == ["agentview", "robot0_eye_in_hand"] * 3 + ["agentview"]
    assert index["hz"] == 10


def test_pictures_are_there_and_move(folder: Path) -> None:
    frames = np.load(folder / "frames.npy")
    assert (frames.reshape(7, -1).std(axis=1) > 5).all()
    assert (frames[:, 0] != frames[:, -1]).any(axis=(1, 2, 3)).sum() >= 4


def test_labels_fit_the_pictures(folder: Path) -> None:
    """Where the red cube's centre is said to be, the picture with the task's own colours is red (in the scene view, where nothing hides it)."""
    frames, pixels = np.load(folder / "frames.npy"), np.load(folder / "labels/objects_pixel.npy")
    clips = json.loads((folder / "index.json").read_text())["clip_list"]
    seen = []
    for clip in clips:
        if clip["camera"] == "agentview" and not clip["varied"]:
            for picture, (column, row) in zip(frames[clip["clip"]], pixels[clip["clip"], :, 0].round().astype(int), strict=True):
                red, green, blue = picture[row, column].astype(int)
                seen.append(red > 2 * max(green, blue))
    assert len(seen) >= 4
    assert np.mean(seen) >= 0.5
    assert np.isfinite(np.load(folder / "labels/actions.npy")).all()


def test_interrupted_play_is_the_same(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, calls = dataclasses.replace(SETTINGS, out=str(tmp_path)), []

    def dies(self: Player, take: int) -> dict:
        calls.append(take)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, take)

    whole = Player.__call__
    monkeypatch.setattr(Player, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        play.main(settings)
    assert not (tmp_path / "frames.npy").exists()
    play.main(settings)
    assert calls == [0, 1, 2, 2, 3]
    for name in (*SETTINGS.arrays(), "index"):
        path = f"{name}.npy" if name != "index" else "index.json"
        assert (tmp_path / path).read_bytes() == (folder / path).read_bytes(), path
    with pytest.raises(BadInput, match="other settings"):
        play.main(dataclasses.replace(settings, seed=1))


@pytest.mark.parametrize(("kilobytes", "fails"), [(64, r"\.frames\.part\.npy"), (208, "labels")])
def test_a_disk_without_room_is_told_of_before_anything_is_played(
    folder: Path, disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, kilobytes: int, fails: str
) -> None:
    """Not while a memory map is filled, where it would end the process (SIGBUS)."""
    out = disk(kilobytes) / "play"
    settings, whole = dataclasses.replace(SETTINGS, out=str(out)), Player.__call__
    monkeypatch.setattr(Player, "__call__", lambda *_: pytest.fail("it was played"))
    with pytest.raises(OSError, match="No space left") as error:
        play.main(settings)
    assert re.search(fails, str(error.value.filename)) and not list(out.rglob("*.tmp"))
    monkeypatch.setattr(Player, "__call__", whole)
    subprocess.run(["mount", "-o", "remount,size=1m", str(out.parent)], check=True)
    play.main(settings)
    for name in SETTINGS.arrays():
        assert (out / f"{name}.npy").read_bytes() == (folder / f"{name}.npy").read_bytes(), name
    assert (out / "index.json").read_bytes() == (folder / "index.json").read_bytes()


def test_takes_lie_one_after_the_other() -> None:
    cameras = {"a": ("x", "y"), "b": ("x",)}
    assert [place_of(take, ["a", "b"], cameras) for take in range(4)] == [("a", 0), ("b", 2), ("a", 3), ("b", 5)]


@pytest.mark.parametrize(
    ("key", "value"), [("clips", 0), ("frames", 1), ("seed", 100_000), ("tasks", "pick"), ("vary", 2.0), ("rendering", "slow"), ("size", 8)]
)
def test_bad_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(BadInput, match=key):
        dataclasses.replace(SETTINGS, **{key: value})  # type: ignore[arg-type]


def test_play_of_version_1_says_what_lies_there(tmp_path: Path) -> None:
    """What the index calls a thing is what is seen where the labels say that it is, also where looks are varied."""
    settings = dataclasses.replace(SETTINGS, out=str(tmp_path), clips=6, frames=2, version=1, vary=1.0)
    play.main(settings)
    frames, pixels = np.load(tmp_path / "frames.npy"), np.load(tmp_path / "labels/objects_pixel.npy")
    assert pixels.shape == (6, 2, 4, 2)
    index, hits = json.loads((tmp_path / "index.json").read_text()), []
    assert (index["version"], index["split"]) == (1, "train")
    for clip in index["clip_list"]:
        assert parse(clip["instruction"])[1] == Thing(*clip["things"][0].split()) and len(clip["things"]) == 4
        for thing, (column, row) in zip(clip["things"], pixels[clip["clip"], 0].round(), strict=True):
            if clip["camera"] == "agentview" and 0 <= column < 48 and 0 <= row < 48:
                rgb, seen = np.array(COLOURS[thing.split()[0]][:3]), frames[clip["clip"], 0, int(row), int(column)].astype(float)
                rgb, seen = rgb - rgb.mean(), seen - seen.mean()
                hits.append(rgb @ seen / max(np.linalg.norm(rgb) * np.linalg.norm(seen), 1e-9) > 0.7)
    assert len(hits) >= 6 and np.mean(hits) > 0.6  # the arm hides some, and light and tint vary


def test_varied_play_is_the_same_when_interrupted_and_leaves_the_default_alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = dataclasses.replace(SETTINGS, clips=6, frames=2, things="varied", tasks=("stack_centered",), vary=1.0)
    play.main(dataclasses.replace(settings, out=str(tmp_path / "whole")))
    calls, whole = [], Player.__call__

    def dies(self: Player, take: int) -> dict:
        calls.append(take)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, take)

    monkeypatch.setattr(Player, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        play.main(dataclasses.replace(settings, out=str(tmp_path / "resumed")))
    play.main(dataclasses.replace(settings, out=str(tmp_path / "resumed")))
    for path in (*(f"{name}.npy" for name in settings.arrays()), "index.json"):
        assert (tmp_path / "resumed" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes(), path
    monkeypatch.setattr(Player, "__call__", whole)

    index = json.loads((tmp_path / "whole" / "index.json").read_text())
    assert index["things"] == "varied" and "things" not in SETTINGS.content()
    for clip in index["clip_list"]:
        assert len(clip["things"]) == len(clip["looks"]) == 2 and "instruction" not in clip
        assert set(clip["things"]) <= {*SHAPES, *MESHES} - set(UNSEEN_MESHES) and set(clip["looks"]) <= set(LOOKS)
        objects = np.load(tmp_path / "whole" / "labels/objects_pos_world.npy")[clip["clip"], :, :2, 2]
        assert np.isfinite(objects).all() and (objects > TABLE_TOP_M).mean() > 0.5  # not fallen through, nor all pushed off
    play.main(dataclasses.replace(SETTINGS, out=str(tmp_path / "default")))
    for path in (*(f"{name}.npy" for name in SETTINGS.arrays()), "index.json"):
        assert (tmp_path / "default" / path).read_bytes() == (folder / path).read_bytes(), path


def test_varied_things_lie_on_tables_only() -> None:
    everywhere = dataclasses.replace(SETTINGS, tasks=("all",), things="varied")
    assert [everywhere.things_of(task) for task in everywhere.names] == ["varied"] * 3 + [None]
    for key, value, said in (
        ("tasks", ("navigate_to",), "none of the tasks has a table"),
        ("version", 1, "in version 1"),
        ("motion", "moving", "motion=moving"),
    ):
        with pytest.raises(BadInput, match=f"things=varied: .*{said}"):
            dataclasses.replace(SETTINGS, things="varied", **{key: value})  # type: ignore[arg-type]
