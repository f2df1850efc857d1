"""Evaluations of version 1: rows say the split and the instruction, and folders, checkpoints and versions are not mixed up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval import run
from eval.playing import prepare
from eval.playing.identity import identity as identity_of
from eval.results import load, load_rows
from eval.run import Settings
from policy.storage.stored import find, versioned
from whatwhere.command import parse
from whatwhere.errors import BadInput

CHECKPOINT = "navigate_to/cnn_keypoints"


def settings(*words: str) -> Settings:
    return parse("eval.conf", "run", Settings, ["task=navigate_to", *words])


def test_a_checkpoint_plays_the_version_that_it_was_trained_on() -> None:
    player = prepare.prepare(settings("encoder=cnn_keypoints"))
    assert (player.version, player.split) == (0, None)
    assert not {"version", "split"} & set(identity_of(settings(), player))
    with pytest.raises(BadInput, match=r"version=1: .* was trained on version 0 of navigate_to; leave it out, or add allow=\[version\]"):
        prepare.prepare(settings(f"checkpoint={CHECKPOINT}", "version=1"))
    with pytest.raises(BadInput, match="split=train: version 0 of a task has one instruction"):
        prepare.prepare(settings(f"checkpoint={CHECKPOINT}", "split=train"))
    there = prepare.prepare(settings(f"checkpoint={CHECKPOINT}", "version=1", "split=unseen_words", "allow=[version]"))
    assert (there.version, there.split, there.task_version) == (1, "unseen_words", None)


def test_there_is_no_default_for_version_1_by_that_of_version_0() -> None:
    assert versioned("pick_at_xy", "1") == "pick_at_xy-v1" and versioned("pick_at_xy", "0") == versioned("pick_at_xy", None) == "pick_at_xy"
    with pytest.raises(BadInput, match="none here for task=navigate_to version=1 encoder=avg_early"):
        find("navigate_to", "avg_early", 1)


def test_each_version_and_split_has_a_folder_and_an_identity_of_its_own() -> None:
    words: list[list[str]] = [[], ["version=1"], ["version=1", "split=unseen_pairs"], ["version=1", "split=unseen_words"]]
    players = [prepare.prepare(settings("policy=expert", *more)) for more in words]
    assert len({player.out for player in players}) == 4
    identities: list[dict[str, Any]] = [identity_of(settings("policy=expert"), player) for player in players]
    assert [identity.get("split") for identity in identities] == [None, "train", "unseen_pairs", "unseen_words"]
    same = prepare.prepare(settings("policy=expert", "version=1", "split=train"))
    assert same == players[1]


@pytest.mark.parametrize("words", [["policy=deaf"], ["policy=deaf", "version=0"]])
def test_nothing_is_to_be_heard_in_version_0(words: list[str]) -> None:
    with pytest.raises(BadInput, match="policy=deaf: takes things at random"):
        settings(*words)


@pytest.mark.parametrize("policy", ["deaf", "zero"])
def test_rows_say_split_and_instruction(tmp_path: Path, policy: str) -> None:
    run.main(settings(f"policy={policy}", "version=1", "episodes=2", "seed=100000", "video=0", "num_envs=1", f"out={tmp_path / 'rows'}", "size=16"))
    rows, results = load(tmp_path / "rows")
    assert [row["version"] for row in rows] == ["1", "1"] and {row["split"] for row in rows} == {"train"} == {results["split"]}
    assert rows[0]["instruction"] != rows[1]["instruction"]
    again = [row["position_error_cm"] for row in load_rows(tmp_path / "rows")]
    run.main(settings(f"policy={policy}", "version=1", "episodes=2", "seed=100000", "video=0", "num_envs=1", f"out={tmp_path / 'again'}", "size=16"))
    assert [row["position_error_cm"] for row in load_rows(tmp_path / "again")] == again
    assert "split" not in load_rows(Path("docs/rows/tasks") / sorted(p.name for p in Path("docs/rows/tasks").iterdir())[0])[0]
