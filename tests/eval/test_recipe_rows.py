"""A policy that remembers, or that joins its streams in another way, says so in its rows and tables; others are told as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval import study
from eval.playing import prepare
from eval.reports import curves, trainings
from eval.reports.entries import collect
from eval.reports.evaluations import make_table
from eval.results import load
from eval.run import Settings
from policy.fusion import told
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.transforms import Affine
from tests.eval.test_report import fill
from tests.policy.small import awake, config
from whatwhere.command import parse


def row_of(folder: Path, **chosen: Any) -> dict[str, Any]:
    """A row of a policy, as `eval.run` would write it."""
    made = config("cnn_avg", **chosen)
    identity = {"proprio": Affine.identity(made.own_dim), "actions": Affine.identity(7)}
    saved = save_pretrained(awake(build(made)), folder, task="pick_at_xy", normalisation=identity, training={"task_version": "0", "rendering": "fast"})
    return prepare.prepare(parse("eval.conf", "run", Settings, ["task=pick_at_xy", f"checkpoint={saved}"])).row({"success": True})


def test_rows_say_how_many_moments(tmp_path: Path) -> None:
    assert row_of(tmp_path / "remembers", memory=10)["memory"] == 10
    assert "memory" not in row_of(tmp_path / "plain"), "as before"


def test_tables_and_curves_keep_them_apart(tmp_path: Path) -> None:
    for seed in (0, 1):
        fill(tmp_path / f"plain{seed}", "pixelwise", 10, train_seed=seed, num_demos=5)
        fill(tmp_path / f"long{seed}", "pixelwise", 15, train_seed=seed, num_demos=5, memory=10)
    fill(tmp_path / "more", "pixelwise", 18, num_demos=10, memory=10)
    assert load(tmp_path / "long0")[1]["memory"] == 10 and "memory" not in load(tmp_path / "plain0")[1]
    entries = collect(sorted(tmp_path.iterdir()))
    table = make_table(entries)
    column = table.header.index("memory")
    assert sorted(cells[column] for cells in table.cells) == ["", "", "10", "10", "10"]
    over = trainings.make_table(entries)
    assert over is not None and [record["success"] for record in over.records if record["num_demos"] == 5] == [pytest.approx(0.75), pytest.approx(0.5)]
    assert set(curves._lines(entries).values()) == {"pixelwise", "pixelwise, memory 10"}
    assert "memory" not in make_table(collect(sorted(tmp_path.glob("plain*")))).header


def test_fusions_are_told_apart(tmp_path: Path) -> None:
    """In rows, in names and in the plan of a study: else one would be tested against itself."""
    assert told() is None and told("gating", "gating") == "gating" and told("linear", "mlp") == "linear, CLS mlp" and told(sharing="shared") == "linear, shared"
    for fusion in (None, "gating", "linear, shared"):
        more: dict[str, Any] = {"fusion": fusion} if fusion else {}
        fill(tmp_path / str(fusion), "pixelwise", 10, **more)
    entries = collect(sorted(tmp_path.iterdir()), "pixelwise")
    assert {entry.name for entry in entries} == {"pixelwise", "pixelwise (gating)", "pixelwise (linear, shared)"}
    assert [entry.p is None for entry in entries] == [entry.name == "pixelwise" for entry in entries]
    plan = parse("eval.conf", "study", study.Settings, ["study=fusions", "study.baseline=pixelwise (gating)"])
    assert plan.study.baseline == "pixelwise (gating)"


def test_rows_say_the_fusion(tmp_path: Path) -> None:
    made = config("pixelwise", fusion="gating", cls_fusion="gating")
    identity = {"proprio": Affine.identity(made.own_dim), "actions": Affine.identity(7)}
    saved = save_pretrained(awake(build(made)), tmp_path, task="pick_at_xy", normalisation=identity, training={"task_version": "0", "rendering": "fast"})
    player = prepare.prepare(parse("eval.conf", "run", Settings, ["task=pick_at_xy", f"checkpoint={saved}"]))
    assert player.row({"success": True})["fusion"] == "gating"
