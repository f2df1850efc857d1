"""Rows of policies with each head: what they say, and that they do not depend on how an evaluation is run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eval.playing.prepare import prepare
from eval.reports.entries import Entry, collect, learned
from eval.results import CONDITIONS, add_row, load, load_rows
from eval.run import Settings
from eval.study import Settings as Study
from policy.heads import DEFAULT, HEADS
from whatwhere.errors import BadInput
from whatwhere.settings import parse

ROOT = Path(__file__).resolve().parents[2]


def checkpoint(folder: Path, head: str) -> Path:
    """A tiny policy with random weights whose actions move the hand."""
    import torch

    from policy.config import PolicyConfig
    from policy.model import build
    from policy.storage.checkpoint import save_pretrained
    from policy.transforms import Affine

    torch.manual_seed(0)
    binary = ((6, -1.0, 1.0),) if head == "binary" else ()
    policy = build(PolicyConfig(encoder="cnn_avg", head=head, binary=binary, proprio_dim=10, size=48))
    with torch.no_grad():
        for parameter in policy.head.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    identity = {"proprio": Affine.identity(10), "actions": Affine.identity(7)}
    training: dict[str, Any] = {"task_version": "0", "rendering": "fast", "train_seed": 3, "num_demos": 5}
    return save_pretrained(policy, folder, task="pick_at_xy", normalisation=identity, training=training)


def strip(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("head", HEADS)
def test_rows_depend_on_the_start_alone(head: str, tmp_path: Path) -> None:
    """The same rows from one worker, two, four, for a part of the episodes, and in a folder that was carried on."""
    place = checkpoint(tmp_path / "policy", head)

    def rows(name: str, *words: str) -> list[dict[str, Any]]:
        argv = [sys.executable, "-m", "eval.run", "task=pick_at_xy", f"checkpoint={place}", "seed=150000", "execute=4", "video=0", "trajectories=true"]
        argv += [f"out={tmp_path / name}", *words]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        return [row | {"every step": (tmp_path / name / row["trajectory"]).read_text()} for row in strip(load_rows(tmp_path / name))]

    whole = rows("one", "episodes=4", "num_envs=1")
    assert len({row["every step"] for row in whole}) == 4
    assert {row.get("head") for row in whole} == {None if head == "l1" else head}
    assert rows("two", "episodes=4", "num_envs=2") == whole
    assert rows("part", "episodes=2", "first=2", "num_envs=1") == whole[2:]
    shutil.copytree(tmp_path / "two/trajectories", tmp_path / "four/trajectories")
    (tmp_path / "four/settings.json").write_bytes((tmp_path / "two/settings.json").read_bytes())
    for row in load_rows(tmp_path / "one")[1:3]:  # what a kill left
        add_row(tmp_path / "four", row)
    assert rows("four", "episodes=4", "num_envs=4") == whole


@pytest.mark.parametrize("head", HEADS)
def test_a_row_names_the_head_unless_it_is_l1(head: str, tmp_path: Path) -> None:
    player = prepare(parse("eval.conf", "run", Settings, ["task=pick_at_xy", f"checkpoint={checkpoint(tmp_path / 'policy', head)}"]))
    row = player.row({"task": "pick_at_xy", "version": "0", "seed": 0, "episode": 0, "init_hash": "0", "success": True, "position_error_cm": 1.0})
    assert row.get("head") == (None if head == "l1" else head) and ("head" in row) is (head != "l1") and "head" in CONDITIONS
    add_row(tmp_path / "rows", row)
    entry = Entry(tmp_path / "rows", *load(tmp_path / "rows"))
    assert entry.name == entry.full_name == learned("cnn_avg", head) == ("cnn_avg" if head == "binary" else f"cnn_avg+{head}")
    assert collect([tmp_path / "rows"])[0].name == "cnn_avg"


def test_a_table_names_heads_where_they_differ(tmp_path: Path) -> None:
    for head in ("l1", "binary"):
        player = prepare(parse("eval.conf", "run", Settings, ["task=pick_at_xy", f"checkpoint={checkpoint(tmp_path / f'policies/{head}', head)}"]))
        add_row(
            tmp_path / head,
            player.row({"task": "pick_at_xy", "version": "0", "seed": 0, "episode": 0, "init_hash": "0", "success": True, "position_error_cm": 1.0}),
        )
    assert {entry.name for entry in collect([tmp_path / "l1", tmp_path / "binary"])} == {"cnn_avg", "cnn_avg+l1"}
    for head in ("l1", "binary"):
        assert [entry.name for entry in collect([tmp_path / head], baseline=learned("cnn_avg", head))] == ["cnn_avg"]


def study(*words: str) -> Study:
    return parse("eval.conf", "study", Study, ["study.tasks=[pick_at_xy]", "study.num_demos=[10]", *words])


def test_heads_are_methods_of_a_study() -> None:
    methods = ["study.methods.chosen={encoder: pixelwise, head: mip}", "study.methods.pixelwise={}"]
    plan = study(*methods, "study.baseline=pixelwise+mip")
    trained = {cell.method: plan.train(cell) for cell in plan.cells()}
    assert "head=mip" in trained["chosen"] and not any(word.startswith("head=") for word in trained["pixelwise"])
    with pytest.raises(BadInput, match=r"head=fow: .*valid: l1, "):
        study("study.methods.wrong={encoder: pixelwise, head: fow}")
    with pytest.raises(BadInput, match=r"study.baseline=pixelwise\+flo: no method has it"):
        study(*methods, "study.baseline=pixelwise+flo")


def test_the_study_of_heads_has_every_head() -> None:
    plan = parse("eval.conf", "study", Study, ["study=heads"])
    assert sorted(cell.options.get("head", DEFAULT) for cell in plan.cells() if cell.task == "pick_at_xy") == sorted(HEADS)


def test_noise_is_of_task_seed_and_episode() -> None:
    from eval.playing.policies import Learned

    class Told:
        inference = "plain"

        def __init__(self, task: str) -> None:
            self.checkpoint = type("Checkpoint", (), {"config": {"task": task}})
            self.seeds: list[Any] = []

        def reset(self, seed: Any) -> None:
            self.seeds.append(tuple(seed))

    agents = [Told("pick_at_xy"), Told("stack_centered")]
    for agent in agents:
        for seed, episode in ((1, 0), (1, 1), (2, 0)):
            Learned(agent).reset(seed, episode)
    seeds = agents[0].seeds + agents[1].seeds
    assert len(set(seeds)) == 6 and all(isinstance(number, int) and number >= 0 for seed in seeds for number in seed)
