"""Training where instructions differ: from episode to episode, and from task to task in one policy."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.demos.episodes import write_episode
from eval.playing.prepare import prepare
from eval.run import Settings as EvalSettings
from policy.agent import Agent
from policy.finetune import main as finetune
from policy.storage import checkpoint
from policy.training.dataset import load_demos
from policy.training.joint import joined
from tests.policy.small import observation
from tests.policy.test_finetune import episode, settings
from whatwhere.errors import BadInput
from whatwhere.settings import parse

SAID = {"pick_at_xy": ("pick up the red cube", "pick up the blue ball"), "place_left_of": ("put the red cube left of the blue ball",)}
SEVERAL = {"task": "[pick_at_xy,place_left_of]", "num_demos": 2, "language": "recurrent", "join": "points", "mirror": "false"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two episodes of each task."""
    made = {}
    for number, (task, said) in enumerate(SAID.items()):
        made[task] = tmp_path_factory.mktemp(task)
        for i, steps in enumerate((6, 7)):
            one = episode(steps, 10 * number + i, task=task, episode=10 * number + i)
            write_episode(made[task] / f"episode_{i}.hdf5", dataclasses.replace(one, instruction=said[i % len(said)]))
    return made


def both(folders: dict[str, Path]) -> str:
    return f"[{','.join(map(str, folders.values()))}]"


def test_demonstrations_of_several_tasks_are_one_set(folders: dict[str, Path]) -> None:
    parts = [load_demos(folder, 2, chunk=4) for folder in folders.values()]
    all_of_them = joined(parts, list(map(str, folders.values())))
    assert len(all_of_them) == 26 and all_of_them.attrs["tasks"] == {"pick_at_xy": "0", "place_left_of": "0"}
    assert [all_of_them.instructions[i] for i in all_of_them.told[[0, 6, 13, 25]]] == [*SAID["pick_at_xy"], *SAID["place_left_of"] * 2]
    for row in (13, 18, 25):  # of the second part
        assert all_of_them.previous[row] == parts[1].previous[row - 13] + 13
        assert np.array_equal(all_of_them.frames[all_of_them.previous[row]], parts[1].frames[parts[1].previous[row - 13]])
    assert all_of_them.init_hashes == parts[0].init_hashes + parts[1].init_hashes and all_of_them.digest != parts[0].digest
    assert joined(parts[:1], ["one"]) is parts[0]


def test_one_policy_of_several_tasks(folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = finetune(settings(both(folders), tmp_path / "out", steps=3, **SEVERAL))  # type: ignore[arg-type]
    loaded = checkpoint.load(out)
    assert loaded.config["task"] == "pick_at_xy+place_left_of"
    assert loaded.config["training"]["tasks"] == {"pick_at_xy": "0", "place_left_of": "0"} and loaded.config["training"]["task_version"] == "0"
    assert loaded.config["training"]["instructions"] == [*SAID["pick_at_xy"], *SAID["place_left_of"]]
    assert loaded.policy.config.vocabulary == ("ball", "blue", "cube", "left", "of", "pick", "put", "red", "the", "up")
    for task in SAID:
        player = prepare(parse("eval.conf", "run", EvalSettings, [f"task={task}", f"checkpoint={out}"]))
        assert (player.task, player.task_version, player.language, player.join) == (task, "0", "recurrent", "points")
    with pytest.raises(BadInput, match="made for task=pick_at_xy or place_left_of, not task=stack_centered"):
        prepare(parse("eval.conf", "run", EvalSettings, ["task=stack_centered", f"checkpoint={out}"]))
    capsys.readouterr()
    Agent.from_pretrained(out, "cpu").act(observation() | {"instruction": "pick up the blue bal"})
    assert "'bal' (did you mean ball?)" in capsys.readouterr().err
    capsys.readouterr()
    finetune(settings(both(folders), tmp_path / "out", steps=3, **SEVERAL))  # type: ignore[arg-type]
    assert "already trained" in capsys.readouterr().out


def test_settings_of_one_task_stay_in_files_as_they_were(folders: dict[str, Path], tmp_path: Path) -> None:
    out = finetune(settings(folders["place_left_of"], tmp_path / "out", task="place_left_of", num_demos=1, steps=1))
    begun = json.loads((out / "training.json").read_text())
    assert begun["task"] == "place_left_of" and not {"language", "join", "sentence_encoder", "instructions"} & set(begun)
    stored = json.loads((out / "config.json").read_text())
    assert stored["task"] == "place_left_of" and stored["training"]["instruction"] == SAID["place_left_of"][0] and "tasks" not in stored["training"]
    assert not {"language", "join", "vocabulary"} & set(stored["policy"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "[pick_at_xy,pick_at_xy]"}, r"task=\[pick_at_xy,pick_at_xy\]: names one twice"),
        ({"task": "[pick_at_xy,place_left_of,stack_centered]"}, "demos: 2 folders for 3 tasks; give one for each"),
        ({"task": "[place_left_of,pick_at_xy]"}, "task=place_left_of: demos=.* were recorded in task=pick_at_xy"),
        ({"task": "pick_at_xy"}, "task=pick_at_xy: demos=.* were recorded in task=place_left_of"),
        ({"language": "sentence", "sentence_encoder": "/nowhere"}, "sentence_encoder=/nowhere: no such folder"),
        ({"join": "film,points"}, "join=film,points: "),
    ],
)
def test_refusals(changes: dict[str, Any], message: str, folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        finetune(settings(both(folders), tmp_path / "out", **(SEVERAL | changes)))  # type: ignore[arg-type]


def test_another_robot_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    one = episode(5, 1, task="place_left_of")
    write_episode(tmp_path / "episode_0.hdf5", dataclasses.replace(one, actions=one.actions[:, :3], instruction="drive"))
    with pytest.raises(BadInput, match=r"actions of 3 numbers, those of demos=.* have 7: another robot"):
        joined([load_demos(folder, 1, chunk=4) for folder in (folders["pick_at_xy"], tmp_path)], ["a", "b"])
