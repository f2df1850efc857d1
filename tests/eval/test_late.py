"""Evaluations under latency: by default that of the training; another one is noted, kept in rows, and never mixed with it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch

import envs
from eval.playing import prepare
from eval.playing.identity import identity as identity_of
from eval.playing.player import Player
from eval.reports import trainings
from eval.reports.entries import collect
from eval.reports.evaluations import make_table
from eval.run import Settings
from policy.agent import Agent
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.transforms import Affine
from tests.eval.test_report import fill
from tests.policy.small import awake, config
from whatwhere.command import parse
from whatwhere.errors import BadInput


def settings(*words: str) -> Settings:
    return parse("eval.conf", "run", Settings, list(words))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    chosen = config("cnn_avg", proprio_dim=10, latency=2, action_latency=1, history=("moved", "actions"))
    identity = {"proprio": Affine.identity(chosen.own_dim), "actions": Affine.identity(7)}
    folder = tmp_path_factory.mktemp("checkpoints") / "late"
    return save_pretrained(awake(build(chosen)), folder, task="pick_at_xy", normalisation=identity, training={"task_version": "0", "rendering": "fast"})


def prepared(checkpoint: Path, *words: str) -> tuple[Player, dict[str, Any]]:
    chosen = settings("task=pick_at_xy", f"checkpoint={checkpoint}", *words)
    player = prepare.prepare(chosen)
    return player, identity_of(chosen, player)


def test_the_latency_of_the_training_is_that_of_the_evaluation(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    player, identity = prepared(checkpoint)
    assert (player.latency, player.action_latency, player.trained_for, player.history) == (2, 1, None, "moved actions")
    assert (identity["latency"], identity["action_latency"]) == (2, 1)
    assert "note" not in capsys.readouterr().out
    row = player.row({"success": True})
    assert (row["latency"], row["action_latency"], row["history"]) == (2, 1, "moved actions") and "trained_for" not in row


def test_another_one_is_noted_and_stands_in_the_rows(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    player, identity = prepared(checkpoint, "latency=0", "action_latency=4")
    assert "was trained for latency=2, action_latency=1; here it meets latency=0, action_latency=4" in capsys.readouterr().out
    row = player.row({"success": True})
    assert "latency" not in row and row["action_latency"] == 4 and row["trained_for"] == "latency=2, action_latency=1"
    assert "latency" not in identity and identity["action_latency"] == 4
    assert "latency0" in player.out and "actionlatency4" in player.out


def test_without_latency_nothing_new_is_said() -> None:
    player = prepare.prepare(settings("task=pick_at_xy", "policy=expert"))
    assert not {"latency", "action_latency", "trained_for", "history"} & set(player.row({"success": True}))
    assert not {"latency", "action_latency"} & set(identity_of(settings("task=pick_at_xy", "policy=expert"), player))


@pytest.mark.parametrize("policy", ["expert", "zero", "random"])
def test_who_looks_at_no_pictures_has_no_late_ones(policy: str) -> None:
    with pytest.raises(BadInput, match=f"latency=4: policy={policy} looks at no pictures"):
        settings("task=pick_at_xy", f"policy={policy}", "latency=4")
    assert prepare.prepare(settings("task=pick_at_xy", f"policy={policy}", "action_latency=4")).action_latency == 4


def test_a_pace_that_does_not_fit_is_refused(checkpoint: Path) -> None:
    with pytest.raises(BadInput, match="execute=3: with latency=2"):
        prepared(checkpoint, "execute=3")


def test_an_evaluation_is_what_an_agent_does_in_a_late_environment(checkpoint: Path) -> None:
    player, _ = prepared(checkpoint, "episodes=1", "video=0", "seed=100000")
    with player() as play:
        row = play(0, lambda *_: None)
    agent = Agent.from_pretrained(checkpoint, "cpu", inference=row["inference"])
    with contextlib.closing(envs.make("pick_at_xy", size=32, latency=2, action_latency=1)) as env:
        torch.set_num_threads(1)
        agent.reset()
        obs, _ = env.reset(seed=100000, options={"episode": 0})
        steps, over = 0, False
        while not over:
            obs, _, terminated, truncated, info = env.step(agent.act(obs)[0])
            steps, over = steps + 1, terminated or truncated
    assert (steps, info["success"]) == (row["steps"], row["success"])
    assert info["position_error_cm"] == pytest.approx(row["position_error_cm"], abs=1e-9)


def test_tables_keep_latencies_apart(tmp_path: Path) -> None:
    kinds: Any = (("plain", {}), ("late", {"latency": 4}), ("told", {"latency": 4, "history": "moved"}), ("other", {"trained_for": "latency=4"}))
    for name, told in kinds:
        for encoder, wins in (("avg_late", 5), ("pixelwise", 15)):
            for seed in (0, 1):
                fill(tmp_path / f"{name}_{encoder}_{seed}", encoder, wins + seed, train_seed=seed, **told)
    entries = collect(sorted(tmp_path.iterdir()), "avg_late")
    assert len({entry.group for entry in entries}) == 2
    table = make_table(entries, "avg_late")
    assert {"latency", "history"} <= set(table.header) and any("latency:" in note for note in table.notes)
    lines = trainings.make_table(entries, "avg_late")
    assert lines is not None and len(lines.records) == 8, "four recipes of two policies"
    assert [record["latency"] for record in table.records].count(4) == 8
    assert all(entry.p is not None for entry in entries if entry.name == "pixelwise")
