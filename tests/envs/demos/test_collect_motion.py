"""Demonstrations of things that move by themselves: recorded, replayed, drawn again, converted, and what is not done with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from envs.demos import collect, convert, multiply, render, replay
from envs.demos.episodes import read_attrs, read_episode
from tests.envs.demos.test_collect import SETTINGS
from whatwhere.errors import BadInput
from whatwhere.files import read_json
from whatwhere.settings import parse


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demos") / "which"
    collect.main(dataclasses.replace(SETTINGS, n=1, out=str(out), motion="which", speed=(6.0, 12.0)))
    return out


def test_a_demonstration_says_what_moved(folder: Path) -> None:
    episode, settings = read_episode(folder / "episode_0.hdf5"), read_json(folder / "settings.json", dict)
    for record in (episode.attrs, settings):
        assert record["motion"] == "which" and record["speed"] == [6.0, 12.0]
    assert episode.instruction == "pick up the cube that moves"


@pytest.mark.parametrize("start", ["seed", "state"])
def test_replay_reaches_the_same_states(folder: Path, start: str, capsys: pytest.CaptureFixture[str]) -> None:
    replay.main(replay.Settings(str(folder), start, 0.0))
    assert "1 of 1 replayed" in capsys.readouterr().out


def test_drawing_again_gives_the_same_pictures(folder: Path, tmp_path: Path) -> None:
    render.main(render.Settings(str(folder), None, None, None, str(tmp_path / "again")))
    once, again = read_episode(folder / "episode_0.hdf5"), read_episode(tmp_path / "again/episode_0.hdf5")
    assert once.frames is not None and again.frames is not None
    assert np.array_equal(once.frames, again.frames)


@pytest.mark.parametrize("to", ["lerobot", "robomimic"])
def test_other_formats_keep_it(folder: Path, tmp_path: Path, to: str) -> None:
    there = tmp_path / ("there.hdf5" if to == "robomimic" else "there")
    convert.main(parse("envs.conf", "convert", convert.Settings, [f"src={folder}", f"out={there}", f"to={to}"]))
    convert.main(parse("envs.conf", "convert", convert.Settings, [f"src={there}", f"out={tmp_path / 'back'}", "to=folder"]))
    attrs = read_attrs(tmp_path / "back/episode_0.hdf5")
    assert attrs["motion"] == "which" and attrs["speed"] == [6.0, 12.0]


def test_what_is_not_done_with_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"episode_0\.hdf5: motion=which: things moved by themselves"):
        multiply.main(parse("envs.conf", "multiply", multiply.Settings, [f"src={folder}", "n=5", f"out={tmp_path / 'many'}"]))
    with pytest.raises(BadInput, match="motion"):
        collect.main(dataclasses.replace(SETTINGS, n=1, out=str(folder)))


def test_the_folder_is_named_after_what_moves() -> None:
    names = [dataclasses.replace(SETTINGS, **moves).folder for moves in ({}, {"motion": "nudged"}, {"motion": "moving"}, {"motion": "moving", "speed": (2, 4)})]
    assert len(set(names)) == 4 and "moving" in str(names[2])


@pytest.mark.parametrize(
    ("words", "says"),
    [("motion=mooving", r"did you mean moving\?"), ("motion=moving speed=[8,4]", "needs slowest and fastest"), ("speed=[4,8]", "add motion=")],
)
def test_bad_motions_are_refused(words: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse("envs.conf", "collect", collect.Settings, ["task=pick_at_xy", *words.split()])
