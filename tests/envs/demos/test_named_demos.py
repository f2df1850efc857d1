"""Demonstrations of version 1: the instruction is each episode's own in every format, and version and split go with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envs.catalogue import recorded_version, told_version
from envs.demos import collect, convert, replay
from envs.demos.episodes import episode_paths, read_attrs, read_episode, write_episode
from envs.demos.formats import FORMATS, Reading, open_source
from tests.envs.demos.demo_files import assert_same, made_up
from whatwhere.command import parse
from whatwhere.errors import BadInput

pytest.importorskip("pyarrow")
SAID = ("pick up the red cube", "take the yellow ball", "grasp the purple cylinder and lift it")
NAMED = {"task": "pick_at_xy", "task_version": "1", "split": "train", "env_name": "PickAtXY1"}


def write(folder: Path, *changes: dict[str, Any]) -> Path:
    for number, sentence in enumerate(SAID):
        episode = made_up(number, success=True, instruction=sentence)
        episode.attrs |= NAMED | (changes[number] if number < len(changes) else {})
        write_episode(folder / f"episode_{number}.hdf5", episode)
    return folder


@pytest.mark.parametrize("to", FORMATS)
def test_there_and_back_every_episode_keeps_its_sentence(tmp_path: Path, to: str) -> None:
    folder = write(tmp_path / "ours")
    there, back = tmp_path / ("there.hdf5" if to == "robomimic" else "there"), tmp_path / "back"
    for src, out, kind in ((folder, there, to), (there, back, "folder")):
        convert.main(parse("envs.conf", "convert", convert.Settings, [f"src={src}", f"out={out}", f"to={kind}"]))
    with open_source(there, Reading()) as source:
        assert tuple(source.episode(index).instruction for index in range(len(source))) == SAID
    for path, own, sentence in zip(episode_paths(back), episode_paths(folder), SAID, strict=True):
        assert_same(read_episode(path), read_episode(own))
        attrs = read_attrs(path)
        assert attrs["instruction"] == sentence and {key: attrs[key] for key in NAMED} == NAMED


def test_lerobot_counts_each_sentence_as_a_task(tmp_path: Path) -> None:
    out = tmp_path / "there"
    convert.main(parse("envs.conf", "convert", convert.Settings, [f"src={write(tmp_path / 'ours')}", f"out={out}", "to=lerobot"]))
    assert json.loads((out / "meta" / "info.json").read_text())["total_tasks"] == 3


def test_what_was_recorded_says_which_environment_it_wants() -> None:
    assert recorded_version(NAMED) == {"version": 1, "split": "train"}
    assert recorded_version({**NAMED, "task_version": "0"}) == {} == recorded_version({**NAMED, "task": "robosuite/Lift"})
    assert recorded_version({**NAMED, "task_version": "7"}) == {}  # the environment will say that it has another
    assert [told_version(*pair) for pair in ((0, None), (1, None), (1, "train"), (1, "unseen_words"))] == ["", "v1", "v1", "v1-unseen_words"]


@pytest.mark.parametrize(("change", "said"), [({"task_version": "0"}, "task_version=0"), ({"split": "unseen_pairs"}, "split=unseen_pairs")])
def test_versions_and_splits_are_not_mixed_in_one_folder(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = write(tmp_path / "ours", {}, change)
    with pytest.raises(BadInput, match=rf"episode_1.hdf5: {said}, but episode_0.hdf5 has"):
        replay.main(parse("envs.conf", "replay", replay.Settings, [f"demos={folder}"]))


def test_a_split_that_there_is_not_is_refused_by_its_file(tmp_path: Path) -> None:
    path = episode_paths(write(tmp_path / "ours", *[{"split": "../other"}] * 3))[0]
    with pytest.raises(BadInput, match=r"episode_0.hdf5: split=../other: unknown; valid: train"):
        replay.make_env(read_attrs(path), path)


def test_a_folder_of_version_1_is_not_that_of_version_0() -> None:
    def settings(*words: str) -> collect.Settings:
        return parse("envs.conf", "collect", collect.Settings, ["task=pick_at_xy", *words])

    old, new, held_out = settings(), settings("version=1"), settings("version=1", "split=unseen_pairs")
    assert len({choice.folder for choice in (old, new, held_out)}) == 3
    assert not {"version", "split"} & set(old.content())  # folders of earlier versions go on
    assert new.content()["version"] == 1 and new.content()["split"] == "train"
    assert new.content() == settings("version=1", "split=train").content() and new.folder == settings("version=1", "split=train").folder


def test_dataset_of_several_sentences_is_read(tmp_path: Path) -> None:
    from policy.training.dataset import load_demos

    demos = load_demos(write(tmp_path / "ours"), 3, chunk=4)
    assert demos.attrs["split"] == "train"
    with pytest.raises(BadInput, match="split=unseen_pairs, but the episodes before it have split=train"):
        load_demos(write(tmp_path / "mixed", {}, {"split": "unseen_pairs"}), 3, chunk=4)
