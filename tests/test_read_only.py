"""Every command in a folder that cannot be written: one line that names the option, within seconds; and what is complete there is used."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from envs.demos import play, scenes
from eval import doctor
from policy.pretrain.video_folder import VideoFolder
from tests.disks import ROOT, one_line, read_only, run
from tests.envs.demos.demo_files import write_folder
from tests.envs.demos.test_play import SETTINGS as PLAY
from tests.eval.test_report import fill
from whatwhere.errors import BadInput
from whatwhere.files import write_json
from whatwhere.owned import claim
from whatwhere.settings import parse

ROWS = "folders=../rows"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory):
    """A folder that cannot be written, beside one of demonstrations, one of rows, and footage."""
    root = tmp_path_factory.mktemp("read_only")
    write_folder(root / "demos")
    fill(root / "rows" / "a", "pixelwise", 8)
    (root / "footage").mkdir()
    for i in range(2):
        Image.fromarray(np.full((40, 40, 3), 40 * i, np.uint8)).save(root / "footage" / f"{i}.png")
    (root / "here").mkdir()
    with read_only(root / "here") as folder:
        yield folder


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["envs.view", "task=pick_at_xy"], "out=outputs/view"),
        (["envs.demos.inspect", "../demos"], "out=outputs/inspect"),
        (["envs.demos.convert", "src=../demos", "out=a.hdf5", "to=robomimic"], "out="),
        (["envs.demos.convert", "src=../demos", "out=deep/a", "to=folder"], "out=deep"),
        (["envs.demos.collect", "task=pick_at_xy"], "out=data/pick_at_xy/"),
        (["envs.demos.play", "out=play", "clips=2"], "out=play"),
        (["envs.demos.scenes", "out=scenes"], "out=scenes/"),
        (["eval.run", "task=pick_at_xy", "policy=zero"], "out=outputs/eval/"),
        (["eval.run", "-m", "task=pick_at_xy,stack_centered", "policy=zero"], "out=outputs/eval/"),
        (["eval.report", ROWS], "out=outputs/report"),
        (["eval.report", ROWS, "out=null", "into=a.md", "block=results"], "into="),
        (["eval.study", "study=tasks"], "out=outputs/study"),
        (["eval.bench", "env", "out=a.json"], "out="),
        (["eval.bench", "env", "pictures=p"], "pictures=p"),
        (["eval.doctor", "picture=a.png"], "picture="),
        (["policy.pretrain", "data=../footage"], "out=outputs/pretrain"),
        (["policy.pretrain", "data=../footage", "out=../trained"], "cache=data/cache/frames"),
        (["policy.publish", f"streams={ROOT}/checkpoints/streams/3394c63da125f6ac", "root=mine"], "root=mine"),
    ],
)
def test_a_command_says_what_cannot_be_written(here: Path, words: list[str], names: str) -> None:
    began = time.process_time()
    done = run(*words, cwd=here)
    one_line(done, 2, names, "cannot be written (Read-only file system); choose another ")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert time.process_time() - began < 5
    assert not (here.parent / "trained").exists() or not list((here.parent / "trained").glob("*.safetensors"))


def test_commands_that_write_nothing_work_there(here: Path) -> None:
    for words in (
        ["eval.report", ROWS, "out=null"],
        ["eval.compare", "../rows/a", "../rows/a"],
        ["eval.study", "study=tasks", "plan=true"],
        ["eval.run", "--help"],
    ):
        done = run(*words, cwd=here)
        assert done.returncode == 0, done.stderr


def test_the_doctor_says_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    (found,) = [finding for finding in doctor.machine(doctor.Settings(None)) if finding.name == "outputs"]
    assert found.problem and "Read-only file system" in found.value


def test_complete_play_and_scenes_are_used(tmp_path: Path, sealed: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]) -> None:
    mine = dataclasses.replace(PLAY, out=str(tmp_path / "play"))
    drawn = parse("envs.conf", "scenes", scenes.Settings, [f"out={tmp_path / 'scenes'}"])
    for folder, content in [(tmp_path / "play", mine.content()), *((tmp_path / "scenes" / task, drawn.content(task)) for task in drawn.names)]:
        claim(folder, content)
        write_json(folder / "index.json", {})
    sealed(tmp_path)
    play.main(mine)
    scenes.main(drawn)
    said = capsys.readouterr().out
    assert f"in {mine.out} already" in said and said.count("there already") == len(drawn.names)


def test_a_whole_cache_of_frames_is_used(tmp_path: Path, sealed: Callable[[Path], Path]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for i in range(3):
            Image.fromarray(np.full((40, 40, 3), 40 * i + len(folder), np.uint8)).save(tmp_path / folder / f"{i}.png")
    VideoFolder(tmp_path / "a", tmp_path / "cache", 32)
    cache = sealed(tmp_path / "cache")
    assert VideoFolder(tmp_path / "a", cache, 32).names == VideoFolder(tmp_path / "b", cache, 32).names, "the same footage, elsewhere"
    with pytest.raises(BadInput, match=r"cache=.*cannot be written \(Read-only file system\)"):
        VideoFolder(tmp_path / "a", cache, 16)
    assert len((cache / "index.jsonl").read_text().splitlines()) == 1 == len([json.loads(line) for line in (cache / "index.jsonl").read_text().splitlines()])
