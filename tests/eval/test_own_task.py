"""A task from elsewhere all the way: demonstrations, a policy, rows, a table; and one that has no position error."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from envs.demos import collect, render, replay
from eval import compare, report, run
from policy import finetune
from whatwhere.errors import BadInput
from whatwhere.settings import parse

REACH = "tests.envs.foreign.own_gymnasium:Reach"
WALK = "gymnasium/tests.envs.foreign.own_gymnasium:Own/Walk-v0"


def collected(*arguments: str) -> None:
    collect.main(parse("envs.conf", "collect", collect.Settings, arguments))


def evaluated(*arguments: str) -> None:
    run.main(parse("eval.conf", "run", run.Settings, arguments))


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reach")
    collected(f"task={REACH}", "expert=tests.envs.foreign.own_gymnasium:ReachExpert", "n=3", "size=32", f"out={folder}")
    return folder


def test_demonstrations_say_where_they_come_from_and_can_be_replayed(demos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.loads((demos / "settings.json").read_text())
    assert (settings["task"], settings["expert"]) == (REACH, "tests.envs.foreign.own_gymnasium:ReachExpert")
    told = parse("envs.conf", "replay", replay.Settings, [f"demos={demos}", f"task={REACH}"])
    replay.main(told)
    assert "3 of 3 replayed" in capsys.readouterr().out
    with pytest.raises(BadInput, match=r"add task=tests\.envs\.foreign\.own_gymnasium:Reach to import that module"):
        replay.main(dataclasses.replace(told, task=None))
    with pytest.raises(BadInput, match="was recorded in task=tests"):
        replay.main(dataclasses.replace(told, task="robosuite/Lift"))
    with pytest.raises(BadInput, match="cannot be set to a recorded state"):
        render.main(parse("envs.conf", "render", render.Settings, [f"demos={demos}", f"task={REACH}", "size=48"]))


@pytest.mark.slow
def test_from_demonstrations_to_a_score(demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = [f"task={REACH}", "encoder=cnn_avg"]
    few = ["num_demos=3", "steps=2", "batch=4", "num_threads=1", f"cache={tmp_path / 'cache'}"]
    finetune.main(parse("policy.conf", "finetune", finetune.Settings, [*common, f"demos={demos}", *few, f"out={tmp_path / 'policy'}"]))
    evaluated(*common, f"checkpoint={tmp_path / 'policy'}", "episodes=2", "video=1", "trajectories=true", f"out={tmp_path / 'learned'}")
    expert = ["policy=expert", "expert=tests.envs.foreign.own_gymnasium:ReachExpert", "size=32"]
    evaluated(common[0], *expert, "episodes=2", "video=0", f"out={tmp_path / 'expert'}")
    rows = [json.loads(line) for line in (tmp_path / "expert" / "episodes.jsonl").read_text().splitlines()]
    assert [row["success"] for row in rows] == [True, True] and rows[0]["position_error_cm"] < 5 and rows[0]["freezes"] is None
    assert (tmp_path / "learned" / "videos" / "episode_0.mp4").is_file()
    capsys.readouterr()
    compare.main(compare.Settings(str(tmp_path / "expert"), str(tmp_path / "learned")))
    assert "2 common starts" in capsys.readouterr().out
    with pytest.raises(BadInput, match="made for task=tests"):
        evaluated(f"task={WALK}", f"checkpoint={tmp_path / 'policy'}", "encoder=cnn_avg")


@pytest.mark.slow
def test_without_a_position_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(f"task={WALK}", "policy=random", "episodes=2", "video=1", "size=32", f"out={tmp_path / 'walk'}")
    assert "position error none · 2 episodes" in capsys.readouterr().out
    report.main(parse("eval.conf", "report", report.Settings, [f"folders={tmp_path}", f"out={tmp_path / 'report'}"]))
    printed = capsys.readouterr().out
    assert "no maps" in printed and " cm" not in printed.splitlines()[0]
    assert json.loads((tmp_path / "walk" / "results.json").read_text())["position_error_cm"]["within_cm"]["1"] is None
