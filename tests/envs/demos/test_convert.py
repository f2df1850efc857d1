"""Formats of demonstrations: there and back is the same; others' files are read as far as they fit; nothing is overwritten."""

from __future__ import annotations

import json
import shutil
import weakref
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from envs.demos import convert
from envs.demos.episodes import Episode, episode_paths, read_episode
from envs.demos.formats import FORMATS, Reading, Source, Writing, module_of, open_source
from tests.envs.demos.demo_files import CAMERAS, assert_same, made_up, write_folder, write_robomimic
from whatwhere.command import parse
from whatwhere.errors import BadInput

pytest.importorskip("pyarrow")
NUMBER = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("ours") / "demos", NUMBER)


def run(src: Path, out: Path, to: str, *more: str) -> Path:
    settings = parse("envs.conf", "convert", convert.Settings, [f"src={src}", f"out={out}", f"to={to}", *more])
    convert.main(settings)
    return out


def read(path: Path, **reading: Any) -> list[Episode]:
    with open_source(path, Reading(**reading)) as source:
        return [source.episode(index) for index in range(len(source))]


@pytest.mark.parametrize("to", FORMATS)
def test_there_and_back_is_the_same(folder: Path, tmp_path: Path, to: str) -> None:
    there = run(folder, tmp_path / ("there.hdf5" if to == "robomimic" else "there"), to)
    for episode, path in zip(read(there), episode_paths(folder), strict=True):
        assert_same(episode, read_episode(path))
    back = run(there, tmp_path / "back", "folder")
    for one, other in zip(episode_paths(back), episode_paths(folder), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_several_sources_are_joined(folder: Path, tmp_path: Path) -> None:
    one, two = run(folder, tmp_path / "one.hdf5", "robomimic", "n=2"), run(folder, tmp_path / "two", "lerobot")
    settings = parse("envs.conf", "convert", convert.Settings, [f"src=[{one},{two}]", f"out={tmp_path / 'both'}", "to=folder"])
    convert.main(settings)
    convert.main(settings)  # there already
    own = [read_episode(path) for path in episode_paths(folder)]
    for episode, expected in zip(read(tmp_path / "both"), [*own[:2], *own], strict=True):
        assert_same(episode, expected)
    with pytest.raises(BadInput, match="inside the demonstrations themselves"):
        parse("envs.conf", "convert", convert.Settings, [f"src=[{one},{two}]", f"out={two}/both", "to=folder"])


def test_from_one_foreign_format_to_the_other(folder: Path, tmp_path: Path) -> None:
    lerobot = run(run(folder, tmp_path / "a.hdf5", "robomimic"), tmp_path / "b", "lerobot")
    for episode, path in zip(read(lerobot), episode_paths(folder), strict=True):
        assert_same(episode, read_episode(path))


def test_video_has_loss_in_the_pictures_only(folder: Path, tmp_path: Path) -> None:
    there = run(folder, tmp_path / "there", "lerobot", "pictures=video")
    assert sorted(path.name for path in there.rglob("*.mp4")) == ["file-000.mp4"] * len(CAMERAS)
    for episode, path in zip(read(there), episode_paths(folder), strict=True):
        written = read_episode(path)
        assert episode.frames is not None and written.frames is not None
        gaps = np.abs(episode.frames.astype(int)[:, None] - written.frames.astype(int)[None]).mean(axis=(2, 3, 4, 5))
        np.testing.assert_array_equal(gaps.argmin(1), np.arange(len(episode)))  # each frame is in its place
        assert gaps.diagonal().max() < 8  # colours have half the resolution, and these pictures have 16 pixels
        episode.frames = written.frames
        assert_same(episode, written)
    with open_source(there) as source:  # in any order
        for index in (2, 0):
            np.testing.assert_array_equal(np.asarray(source.episode(index).frames), np.asarray(read(there)[index].frames))


def test_robomimic_file_says_what_robomimic_wants(folder: Path, tmp_path: Path) -> None:
    there = run(folder, tmp_path / "there.hdf5", "robomimic", "valid=0.34")
    with h5py.File(there) as opened:
        file: Any = opened
        assert sorted(file["data"]) == ["demo_0", "demo_1", "demo_2"]
        assert file["data"].attrs["total"] == sum(file["data"][name].attrs["num_samples"] for name in file["data"])
        assert json.loads(file["data"].attrs["env_args"])["env_name"] == "MadeUp"
        assert {name: [value.decode() for value in file["mask"][name]] for name in file["mask"]} == {"train": ["demo_0", "demo_1"], "valid": ["demo_2"]}


def test_others_robomimic_files(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5")
    episodes = read(path)
    assert [episode.success for episode in episodes] == [True, False, True]
    with h5py.File(path) as opened:
        file: Any = opened
        demo = file["data/demo_8"]
        np.testing.assert_array_equal(episodes[0].actions, demo["actions"][:].astype(np.float32))
        np.testing.assert_array_equal(episodes[0].states, demo["states"][:])
        assert episodes[0].frames is not None
        np.testing.assert_array_equal(episodes[0].frames[:, 1], demo["obs/robot0_eye_in_hand_image"][:])
        keys = ["robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"]  # neither the object nor the joints
        np.testing.assert_array_equal(episodes[0].proprio, np.concatenate([demo["obs"][key][:] for key in keys], 1).astype(np.float32))
    attrs = episodes[0].attrs
    assert (attrs["task"], attrs["control_hz"], attrs["size"], attrs["cameras"]) == ("robosuite/Lift", 10, 20, list(CAMERAS))
    assert (attrs["seed"], attrs["init_hash"], attrs["task_version"]) == (None, None, "unknown")
    again = run(run(path, tmp_path / "folder", "folder"), tmp_path / "again.hdf5", "robomimic")
    for one, other in zip(read(again), episodes, strict=True):
        np.testing.assert_array_equal(np.asarray(one.frames), np.asarray(other.frames))
        np.testing.assert_array_equal(one.actions, other.actions)
    with h5py.File(again) as opened:
        file = opened
        assert json.loads(file["data"].attrs["env_args"])["env_kwargs"] == {"control_freq": 10, "robots": ["Panda"]}
        assert [value.decode() for value in file["mask/valid"]] == ["demo_1"]  # it was demo_9


def test_what_others_files_do_not_say_is_asked_for(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5")
    (episode, *_) = read(path, task="pick_at_xy", instruction="lift it", cameras=("agentview",), proprio=("robot0_joint_pos",), size=16)
    assert (episode.attrs["task"], episode.instruction, episode.proprio.shape) == ("pick_at_xy", "lift it", (8, 7))
    assert episode.frames is not None and episode.frames.shape == (8, 1, 16, 16, 3)
    for reading, message in (({"cameras": ("side",)}, "side_image: unknown; valid"), ({"proprio": ("robot0_eef",)}, "did you mean robot0_eef_pos")):
        with pytest.raises(BadInput, match=message):
            read(path, **reading)
    with pytest.raises(BadInput, match="holds no pictures"):
        read(write_robomimic(tmp_path / "low_dim.hdf5", pictures=False))


def test_others_lerobot_datasets(folder: Path, tmp_path: Path) -> None:
    there = run(folder, tmp_path / "there", "lerobot")
    for name in ("whatwhere.jsonl", "whatwhere.json"):
        (there / "meta" / name).unlink()
    for episode, path in zip(read(there), episode_paths(folder), strict=True):
        written = read_episode(path)
        for name in ("actions", "proprio", "frames", "success", "instruction"):
            np.testing.assert_array_equal(getattr(episode, name), getattr(written, name))
        np.testing.assert_allclose(episode.states, np.arange(len(written))[:, None] / 20)
        assert (episode.attrs["cameras"], episode.attrs["control_hz"], episode.attrs["seed"]) == (list(CAMERAS), 20, None)


def test_lerobot_statistics(folder: Path, tmp_path: Path) -> None:
    there = run(folder, tmp_path / "there", "lerobot")
    stats = json.loads((there / "meta/stats.json").read_text())
    episodes = [read_episode(path) for path in episode_paths(folder)]
    actions = np.concatenate([episode.actions for episode in episodes]).astype(np.float64)
    for name, value in (("min", actions.min(0)), ("max", actions.max(0)), ("mean", actions.mean(0)), ("std", actions.std(0)), ("count", [len(actions)])):
        np.testing.assert_allclose(stats["action"][name], value, err_msg=name)
    pictures = np.concatenate([np.asarray(episode.frames)[:, 0] for episode in episodes]).reshape(-1, 3) / 255
    for name, value in (("min", pictures.min(0)), ("max", pictures.max(0)), ("mean", pictures.mean(0)), ("std", pictures.std(0))):
        np.testing.assert_allclose(np.ravel(stats["observation.images.agentview"][name]), value, err_msg=name)


class Counting:
    """A source that knows how many of its episodes are still held by somebody."""

    path = Path("made_up")

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Episode] = weakref.WeakSet()
        self.most = 0

    def __len__(self) -> int:
        return 30

    def name(self, index: int) -> str:
        return str(index)

    def episode(self, index: int) -> Episode:
        episode = made_up(index, steps=4)
        self.alive.add(episode)
        self.most = max(self.most, len(self.alive))
        return episode


@pytest.mark.parametrize("to", FORMATS)
def test_two_episodes_in_memory_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    monkeypatch.setattr(Episode, "__hash__", object.__hash__)
    source: Any = Counting()
    module_of(to).write(tmp_path / ("out.hdf5" if to == "robomimic" else "out"), source, Writing(), {"kind": "converted"})
    assert source.most <= 2  # the one being written and the next


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_command_again_is_fine_and_another_is_refused(folder: Path, tmp_path: Path, to: str) -> None:
    out = run(folder, tmp_path / ("out.hdf5" if to == "robomimic" else "out"), to)
    before = sorted((path, path.stat().st_mtime_ns) for path in (out, *out.rglob("*")))
    run(folder, out, to)
    assert sorted((path, path.stat().st_mtime_ns) for path in (out, *out.rglob("*")) if path.name != ".lock") == [b for b in before if b[0].name != ".lock"]
    with pytest.raises(BadInput, match=f"out={out}: holds"):
        run(folder, out, to, "n=2")
    assert len(read(out)) == NUMBER
    for other in (folder, folder / "inside"):
        with pytest.raises(BadInput, match="choose another out="):
            run(folder, other, to)


@pytest.mark.parametrize("to", FORMATS)
def test_somebody_elses_files_are_not_touched(folder: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    if to == "robomimic":
        out.write_text("a letter")
    else:
        out.mkdir()
        (out / "letter.txt").write_text("a letter")
    with pytest.raises(BadInput, match=r"another out=|not a whole HDF5 file"):
        run(folder, out, to)
    assert [path.read_text() for path in (out, *out.rglob("*")) if path.is_file()] == ["a letter"]


@pytest.mark.parametrize("to", FORMATS)
def test_a_killed_run_leaves_nothing_half(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    out = tmp_path / ("out.hdf5" if to == "robomimic" else "out")

    def torn(self: Any, index: int) -> Episode:
        if index == 2:
            raise KeyboardInterrupt
        return read_episode(self.paths[index])

    with monkeypatch.context() as patch:
        patch.setattr(module_of("folder").Source, "episode", torn)
        with pytest.raises(KeyboardInterrupt):
            run(folder, out, to)
    left = [path.name for path in tmp_path.iterdir()]
    assert left == (["out"] if to == "folder" else [])
    run(folder, out, to)
    assert len(read(out)) == NUMBER


def _edit_info(dataset: Path, **changes: Any) -> None:
    path = dataset / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def _link_out(dataset: Path) -> None:
    data = dataset / "data/chunk-000/file-000.parquet"
    shutil.move(data, dataset.parent / "elsewhere.parquet")
    data.symlink_to(dataset.parent / "elsewhere.parquet")


DAMAGE = {
    "version": (lambda d: _edit_info(d, codebase_version="v2.1"), r"codebase_version: needs v3.0 \(LeRobot converts older ones.*found 'v2.1'"),
    "paths": (lambda d: _edit_info(d, data_path="/etc/{chunk_index:>99999999}"), "info.json: data_path: needs data/chunk-"),
    "features": (lambda d: _edit_info(d, features={"action": 5}), "features.action: needs an object, found 5"),
    "rate": (lambda d: _edit_info(d, fps=-1), "fps: needs a finite number above 0 and at most 1000, found -1"),
    "no JSON": (lambda d: (d / "meta/info.json").write_text("{"), "not JSON"),
    "no table": (lambda d: shutil.rmtree(d / "meta/episodes"), "holds no episodes"),
    "no data": (lambda d: shutil.rmtree(d / "data"), "no such file"),
    "data": (lambda d: _flip(d / "data/chunk-000/file-000.parquet", 5000), "damaged|sha256 does not match"),
    "cut data": (lambda d: (d / "data/chunk-000/file-000.parquet").write_bytes(b"PAR1" * 20), "damaged, or not a parquet file"),
    "settings": (lambda d: _flip(d / "meta/whatwhere.jsonl", 100), "whatwhere.jsonl, line 1: settings.rendering: missing"),
    "model": (lambda d: _flip(next((d / "meta/models").iterdir()), 3), "sha256 does not match"),
    "a link": (_link_out, "leads out of that folder"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_lerobot_datasets_are_refused(folder: Path, tmp_path: Path, kind: str) -> None:
    change, message = DAMAGE[kind]
    there = run(folder, tmp_path / "there", "lerobot", "n=1")
    change(there)
    with pytest.raises(BadInput, match=message) as refusal:
        read(there)
    assert "\n" not in str(refusal.value) and str(there) in str(refusal.value)


def test_a_playlist_is_no_video(folder: Path, tmp_path: Path) -> None:
    there = run(folder, tmp_path / "there", "lerobot", "n=1", "pictures=video")
    for name in ("whatwhere.jsonl", "whatwhere.json"):
        (there / "meta" / name).unlink()
    (video, *_) = sorted(there.rglob("*.mp4"))
    video.write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    with pytest.raises(BadInput, match="not a whole mp4 video"):
        read(there)


def test_actions_of_other_units_are_refused(folder: Path, tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "degrees.hdf5")
    with h5py.File(path, "r+") as opened:
        file: Any = opened
        file["data/demo_8/actions"][2, 3] = 90
    with pytest.raises(BadInput, match=r"actions: needs values in \[-1, 1\], found 90"):
        run(path, tmp_path / "out", "folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["to=rlds"], "to=rlds: unknown; valid: folder, robomimic, lerobot"),
        (["to=lerobot", "pictures=gif"], "pictures=gif: unknown"),
        (["to=lerobot", "crf=52"], "crf=52: must be at least 0, at most 51"),
        (["to=robomimic", "valid=1"], "valid=1.0: must be at least 0, below 1"),
        (["to=folder", "n=0"], "n=0: must be at least 1"),
        (["to=folder", "cameras=[]"], "name at least one"),
        (["to=folder", "src=/no/such"], "no such file or folder of demonstrations"),
        (["to=folder", "src=docs"], "docs: not demonstrations"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        convert.main(parse("envs.conf", "convert", convert.Settings, [f"src={tmp_path / 'x'}", f"out={tmp_path / 'out'}", *arguments]))


def test_every_option_of_the_command_reaches_the_reader() -> None:
    given = ["task=a", "instruction=b", "cameras=[c]", "proprio=[d]", "size=32", "draw=[e]"]
    settings = parse("envs.conf", "convert", convert.Settings, ["src=x", "out=y", "to=lerobot", "pictures=video", "crf=3", "valid=0.5", *given])
    assert settings.reading == Reading(task="a", instruction="b", cameras=("c",), proprio=("d",), size=32, draw=("e",), as_is=False)
    assert settings.writing == Writing(pictures="video", crf=3, valid=0.5)


def test_sources_keep_the_contract(folder: Path, tmp_path: Path) -> None:
    for to in FORMATS:
        source: Source
        with open_source(run(folder, tmp_path / f"{to}.hdf5", to)) as source:
            for index in range(len(source)):
                header, episode = source.header(index), source.episode(index)
                assert source.name(index)
                assert (header["steps"], header["success"], header["instruction"]) == (len(episode), episode.success, episode.instruction)
                assert header["init_hash"] == episode.attrs["init_hash"]
