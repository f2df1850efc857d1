"""Probe scenes: the same for the same seed, labels that fit the pictures, pairs in which something or nothing moves."""

from __future__ import annotations

import colorsys
import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.demos import scenes
from envs.demos.arrange import MOTIONS
from envs.demos.scenes import Settings
from envs.language.things import COLOURS
from whatwhere.errors import BadInput

SETTINGS = Settings(out="unused", tasks=("place_left_of",), scenes=16, held_out=8, seed=300_000, distractors=True, size=64, rendering="fast", num_workers=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scenes")
    scenes.main(dataclasses.replace(SETTINGS, out=str(place)))
    return place / "place_left_of"


@pytest.fixture(scope="module")
def labels(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "labels.npz") as stored:
        return dict(stored)


def test_a_disk_that_fills(folder: Path, disk: Callable[[int], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Without room for the pictures nothing is drawn; without room for the labels they are drawn again: all or nothing."""
    out = disk(512)
    settings = dataclasses.replace(SETTINGS, out=str(out))
    with pytest.raises(OSError, match="No space left") as error:
        scenes.main(settings)
    assert error.value.filename == str(out / "place_left_of" / "frames.npy") and "scene" not in capsys.readouterr().out
    subprocess.run(["mount", "-o", "remount,size=1160k", str(out)], check=True)
    with pytest.raises(OSError, match="No space left") as error:
        scenes.main(settings)
    assert error.value.filename == str(out / "place_left_of" / "labels.npz")
    assert not list(out.rglob("*.tmp")) and not (out / "place_left_of" / "index.json").exists()
    subprocess.run(["mount", "-o", "remount,size=4m", str(out)], check=True)
    scenes.main(settings)
    for name in ("frames.npy", "labels.npz", "index.json"):
        assert (out / "place_left_of" / name).read_bytes() == (folder / name).read_bytes(), name


def test_files(folder: Path, labels: dict[str, np.ndarray]) -> None:
    frames = np.load(folder / "frames.npy")
    assert (frames.shape, frames.dtype) == ((24, 2, 2, 64, 64, 3), np.uint8)
    assert labels["objects_pos_world"].shape == (24, 2, 2, 3)
    assert np.array_equal(labels["objects_pos_world"][:, :, 0], labels["target_pos_world"])
    index = json.loads((folder / "index.json").read_text())
    assert (index["scenes"], index["held_out"], index["cameras"]) == (16, 8, ["agentview", "robot0_eye_in_hand"])
    assert not list(folder.glob("*.part.npy"))


def test_target_is_on_the_table_and_where_it_is_said_to_be_it_is_red(folder: Path, labels: dict[str, np.ndarray]) -> None:
    target = labels["target_pos_world"][:, 0]
    assert np.allclose(target[:, 2], 0.82)
    assert np.ptp(target[:, 0]) > 0.15
    assert (labels["visible_pixels"][:, 0] > 5).all()
    frames = np.load(folder / "frames.npy")[:, 0, 0].astype(int)
    red = frames[..., 0] - frames[..., 1:].max(axis=-1)  # the target's hue under any light
    columns = (red.clip(30) - 30).sum(axis=1)
    seen = columns.max(axis=1) > 0
    assert seen.mean() > 0.8
    column = (columns * np.arange(64)).sum(axis=1)[seen] / columns.sum(axis=1)[seen]
    assert abs(np.corrcoef(column, target[seen, 1])[0, 1]) > 0.7  # the scene camera's columns run along the table's y


def test_still_pairs_are_still_and_others_move(folder: Path, labels: dict[str, np.ndarray]) -> None:
    frames, motion = np.load(folder / "frames.npy"), labels["motion"]
    changes = (frames[:, :, 0] != frames[:, :, 1]).any(axis=(1, 2, 3, 4))  # in either camera's picture: the arm may be out of the scene camera's
    way = np.linalg.norm(labels["target_pos_world"][:, 1] - labels["target_pos_world"][:, 0], axis=1)
    for number, name in enumerate(MOTIONS):
        these = motion == number
        assert (way[these] > 0.005).all() == (name in ("slide", "carry")) or not these.any()
        assert changes[these].all() == (name != "still") or not these.any()
    carried = motion == MOTIONS.index("carry")
    assert np.allclose(labels["gripper_pos_world"][carried], labels["target_pos_world"][carried], atol=0.003)


def test_a_larger_folder_begins_with_the_same_scenes(folder: Path, tmp_path: Path) -> None:
    scenes.main(dataclasses.replace(SETTINGS, out=str(tmp_path), scenes=3, held_out=2))
    small, large = np.load(tmp_path / "place_left_of" / "frames.npy"), np.load(folder / "frames.npy")
    assert np.array_equal(small, np.concatenate([large[:3], large[16:18]]))
    before = (tmp_path / "place_left_of" / "frames.npy").stat().st_mtime_ns
    scenes.main(dataclasses.replace(SETTINGS, out=str(tmp_path), scenes=3, held_out=2))
    assert (tmp_path / "place_left_of" / "frames.npy").stat().st_mtime_ns == before
    with pytest.raises(BadInput, match="other settings"):
        scenes.main(dataclasses.replace(SETTINGS, out=str(tmp_path), scenes=4, held_out=2))


@pytest.mark.parametrize(("key", "value"), [("scenes", 0), ("seed", 0), ("seed", 200_000), ("seed", 399_999), ("tasks", "navigate_to"), ("rendering", "slow")])
def test_bad_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(BadInput, match=key):
        dataclasses.replace(SETTINGS, **{key: value})  # type: ignore[arg-type]


def test_scenes_of_version_1_say_what_lies_there(tmp_path: Path) -> None:
    """Where the labels say that a thing is, its colour is in the picture."""
    out = tmp_path / "named"
    scenes.main(dataclasses.replace(SETTINGS, out=str(out), tasks=("pick_at_xy",), scenes=6, held_out=2, version=1))
    folder = out / "pick_at_xy"
    index = json.loads((folder / "index.json").read_text())
    with np.load(folder / "labels.npz") as stored:
        labels = dict(stored)
    assert labels["colours"].shape == labels["shapes"].shape == (8, 4) and labels["objects_pixel"].shape == (8, 2, 2, 4, 2)
    assert all(len(set(zip(*pair, strict=True))) == 4 for pair in zip(labels["colours"].tolist(), labels["shapes"].tolist(), strict=True))
    assert (index["version"], index["split"], index["shapes"]) == (1, "train", ["cube", "ball", "cylinder"])
    frames, hits = np.load(folder / "frames.npy"), []
    for scene, colours in enumerate(labels["colours"]):
        for thing, (column, row) in enumerate(np.round(labels["objects_pixel"][scene, 0, 0]).astype(int)):
            if 0 <= column < 64 and 0 <= row < 64 and labels["objects_visible"][scene, 0, thing] >= 12:
                rgb = np.array(COLOURS[index["colours"][colours[thing]]][:3])
                seen = frames[scene, 0, 0, row, column].astype(float)
                hits.append(
                    np.dot(rgb - rgb.mean(), seen - seen.mean()) / max(np.linalg.norm(rgb - rgb.mean()) * np.linalg.norm(seen - seen.mean()), 1e-9) > 0.8
                )
    assert len(hits) > 20 and np.mean(hits) > 0.9  # lights differ
    assert labels["objects_visible"].shape == (8, 2, 4) and (labels["objects_visible"][:, :, 0] == labels["visible_pixels"]).all()
    inside = ((labels["objects_pixel"][:, :, 0] > 4) & (labels["objects_pixel"][:, :, 0] < 60)).all(axis=-1)
    assert (labels["objects_visible"][inside] > 0).mean() > 0.8 > (labels["objects_visible"][~inside] > 0).mean()
    assert "the {a}" in index["phrases"] and all("{a}" in sentence for sentences in index["sentences"].values() for sentence in sentences)
    assert set(index["sentences"]) == set(index["unseen_sentences"]) == {"pick_at_xy", "place_left_of", "stack_centered"}
    with pytest.raises(BadInput, match="distractors=false: in version 1"):
        dataclasses.replace(SETTINGS, version=1, distractors=False)


def test_in_moving_scenes_one_object_drifts_while_the_hand_moves(tmp_path: Path) -> None:
    chosen = dataclasses.replace(SETTINGS, out=str(tmp_path), scenes=10, held_out=2, moving=True)
    scenes.main(chosen)
    folder = tmp_path / "place_left_of"
    with np.load(folder / "labels.npz") as stored:
        labels = dict(stored)
    frames, index = np.load(folder / "frames.npy"), json.loads((folder / "index.json").read_text())
    assert index["moving"] is True and index["seconds"] == 0.2 and "motions" not in index
    assert frames.shape == (12, 2, 2, 64, 64, 3) and labels["objects_place"].shape == (12, 2, 2, 2) and labels["visible_pixels"].shape == (12, 2, 2)
    way = np.linalg.norm(np.diff(labels["objects_pos_world"], axis=1)[:, 0], axis=-1)  # (scenes, objects)
    which = labels["motion"]
    assert set(which) == {0, 1} and (way[np.arange(12), which] > 0).all() and way.max() <= 0.12 * 0.2 + 1e-6
    assert way[np.arange(12), 1 - which].max() < 1e-6, "the other one stands"
    assert (np.linalg.norm(np.diff(labels["gripper_pos_world"], axis=1)[:, 0], axis=-1) > 0.005).all(), "the hand moves"
    assert (labels["visible_pixels"][:, 0] > 0).all(), "the scene camera sees each"
    for scene in range(12):  # the target is red, where its place says, in the later picture
        x, y = (labels["objects_place"][scene, 0, 0] * 64).astype(int)
        red, green, blue = frames[scene, 0, 1, y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(axis=0)
        assert red > green and red > blue
    smaller = dataclasses.replace(chosen, out=str(tmp_path / "smaller"), scenes=4)
    scenes.main(smaller)
    np.testing.assert_array_equal(np.load(tmp_path / "smaller/place_left_of/frames.npy")[:4], frames[:4])


def test_moving_scenes_need_others_beside_the_target() -> None:
    with pytest.raises(BadInput, match="distractors=false: with moving=true"):
        dataclasses.replace(SETTINGS, moving=True, distractors=False)


def test_scenes_of_other_targets(tmp_path: Path) -> None:
    """A mesh or a colour in the place of the task's cube: where the labels say that it is, it is seen."""
    chosen = dataclasses.replace(SETTINGS, out=str(tmp_path), tasks=("place_left_of",), scenes=10, held_out=2, targets=("can", "magenta"))
    scenes.main(chosen)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place_left_of_can", "place_left_of_magenta"]
    for name, hue, far in (("can", 355, 20), ("magenta", 325, 30)):  # robosuite's can is red
        folder, hues = tmp_path / f"place_left_of_{name}", []
        assert json.loads((folder / "index.json").read_text())["target"] == name
        with np.load(folder / "labels.npz") as stored:
            labels = dict(stored)
        assert labels["objects_pos_world"].shape == (12, 2, 2, 3) and (labels["visible_pixels"][:, 0] > 5).all()
        heights = labels["target_pos_world"][:, 0, 2] - 0.8
        assert np.allclose(heights, 0.02) if name == "magenta" else set(heights.astype(float).round(3)) == {0.033, 0.043}  # the can comes in two sizes
        frames, still = np.load(folder / "frames.npy")[:, 0, 0], labels["motion"] != MOTIONS.index("carry")  # else the hand hides most of it
        for scene in np.flatnonzero(still):
            pixels = frames[scene].reshape(-1, 3) / 255
            angles = np.array([360 * colorsys.rgb_to_hsv(*pixel)[0] for pixel in pixels])
            strong = pixels.max(axis=1) - pixels.min(axis=1) > 0.5 * pixels.max(axis=1)
            hues.append((strong & (np.abs((angles - hue + 180) % 360 - 180) < far)).sum() >= 5)
        assert np.mean(hues) > 0.9


@pytest.mark.parametrize(("more", "said"), [({"version": 1}, "version=1"), ({"moving": True}, "moving=true")])
def test_other_targets_are_for_places(more: dict, said: str) -> None:
    with pytest.raises(BadInput, match=rf"targets=\[can\]: with {said}"):
        dataclasses.replace(SETTINGS, targets=("can",), **more)
    with pytest.raises(BadInput, match="targets"):
        dataclasses.replace(SETTINGS, targets=("spoon",))
