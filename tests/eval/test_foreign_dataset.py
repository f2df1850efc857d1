"""Somebody else's robomimic dataset, from the file to a score; and where that cannot be, who says so."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest

from envs.demos import convert
from eval import run
from policy import finetune
from tests.envs.demos.demo_files import write_robomimic
from tests.envs.demos.test_matching import recorded
from whatwhere.command import parse
from whatwhere.errors import BadInput

FEW = ["num_demos=2", "steps=2", "batch=4", "num_threads=1", "shifts=1"]


def converted(src: Path, out: Path, *more: str) -> Path:
    convert.main(parse("envs.conf", "convert", convert.Settings, [f"src={src}", f"out={out}", "to=folder", *more]))
    return out


def trained(demos: Path, out: Path, *more: str) -> Path:
    told = [f"demos={demos}", f"out={out}", f"cache={out.parent / 'cache'}", "task=robosuite/Lift", *FEW, *more]
    return finetune.main(parse("policy.conf", "finetune", finetune.Settings, told))


def scored(checkpoint: Path, *more: str) -> None:
    told = ["task=robosuite/Lift", f"checkpoint={checkpoint}", "episodes=1", "video=0", "seed=100000", f"out={checkpoint.parent / 'score'}", *more]
    run.main(parse("eval.conf", "run", run.Settings, told))


@pytest.mark.slow
def test_from_a_file_to_a_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recorded(tmp_path / "lift.hdf5", demos=2, hz=10)
    with pytest.raises(BadInput, match="is a file, needed is a folder of episode_<i>"):
        trained(file, tmp_path / "policy")
    with pytest.raises(BadInput, match="pictures of 84 px, the streams need 96 px; convert the file they came in again, with size=96"):
        trained(converted(file, tmp_path / "small"), tmp_path / "policy", "encoder=pixelwise")
    policy = trained(converted(file, tmp_path / "demos", "size=96"), tmp_path / "policy", "encoder=cnn_avg")
    config = json.loads((policy / "config.json").read_text())
    assert config["training"]["origin"] == {"control": {"hz": 10}, "drawn": [84, 84], "instruction": "lift"}
    assert (config["training"]["start_hashes"], config["policy"]["proprio_dim"]) == ([], 11)
    scored(policy, "num_envs=1")
    assert "· 1 episode" in capsys.readouterr().out.splitlines()[-1]
    (row,) = [json.loads(line) for line in (tmp_path / "score/episodes.jsonl").read_text().splitlines()]
    assert row["steps"] <= 50 and row["position_error_cm"] > 0  # 5 s at 10 Hz
    assert json.loads((tmp_path / "score/settings.json").read_text())["origin"] == config["training"]["origin"]


def test_without_an_environment_every_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_robomimic(tmp_path / "lift.hdf5", demos=2)
    with h5py.File(file, "r+") as opened:
        opened["data/demo_9/rewards"][-1] = 1  # type: ignore[index]
    demos = converted(file, tmp_path / "demos", "size=16")
    assert "note: no environment here fits" in capsys.readouterr().out
    policy = trained(demos, tmp_path / "policy", "encoder=cnn_avg")
    assert "note: eval.run will not be able to score this policy, since no environment here fits its demonstrations: 7 actions" in capsys.readouterr().out
    with pytest.raises(BadInput, match="cannot be scored, since no environment here fits its demonstrations: 7 actions and states of 9 numbers"):
        scored(policy)
