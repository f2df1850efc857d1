"""`objective=jepa`: what it predicts and from what, that SIGReg keeps it from collapse, and that it learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from policy.channels import pair_channels
from policy.pretrain import loop
from policy.pretrain.jepa import Jepa
from policy.pretrain.settings import Settings
from policy.storage.checkpoint import load_fusion, load_streams
from policy.streams import TwoStreamEncoder
from tests.policy.pretrain.small_play import moving_squares
from whatwhere.errors import BadInput
from whatwhere.settings import parse

TINY = {"steps": 6, "batch": 4, "dim": 64, "depth": 1, "heads": 2, "save_every": 2, "validate_every": 3, "validate_batches": 1, "holdout": 0.3, "device": "cpu"}
TINY |= {"precision": "fp32", "num_threads": 1, "max_gap": 2, "objective": "jepa", "objective.slices": 16, "objective.blocks": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moving_squares(tmp_path_factory.mktemp("play"))


def words(data: Path, out: Path, **changes: Any) -> list[str]:
    return [f"{key}={value}" for key, value in (TINY | {"data": data, "out": out} | changes).items()]


def run(data: Path, out: Path, **changes: Any) -> Path:
    folder = loop.pretrain(parse("policy.conf", "pretrain", Settings, words(data, out, **changes)))
    assert folder is not None
    return folder


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "figures.jsonl").read_text().splitlines()]


def small(**changes: Any) -> Jepa:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"slices": 16, "blocks": 1}
    return Jepa(TwoStreamEncoder(32, dim=64, depth=1, heads=2), **(sizes | changes))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def frames() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bright squares that move by 4 pixels a frame: in half of the pictures to the right, in the others back, so that only M of (t−k, t) tells which way."""
    found = torch.zeros(3, 8, 3, 32, 32)
    for t in range(3):
        for row in range(8):
            found[t, row, :, 4 + 2 * row : 12 + 2 * row, 4 + 4 * t : 12 + 4 * t] = 1
    first, middle, last = found
    return torch.cat([first, last]), torch.cat([middle, middle]), torch.cat([last, first])


def taught(steps: int = 60, **changes: Any) -> tuple[Jepa, list[float]]:
    model, losses = small(**changes), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    chance = generator()
    for _ in range(steps):
        loss, _figures, _picture = model(*frames(), chance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model.eval(), losses


def test_the_loss_is_the_squared_error_and_the_weighted_distance_from_a_normal_distribution() -> None:
    told, other = (small(sigreg=weight)(*frames(), generator())[1] for weight in (10.0, 0.5))
    for figures, weight in ((told, 10.0), (other, 0.5)):
        by_hand = figures["loss_patches"] + figures["loss_cls"] + weight * (figures["sigreg_patches"] + figures["sigreg_cls"])
        assert figures["loss"] == pytest.approx(by_hand, rel=1e-5)
    model = small(hidden=0.0)
    before, now, later = frames()
    with torch.no_grad():
        figures = model(before, now, later, generator())[1]
        apart = (model.look(before, now).values - model.look(now, later).values).square()
    assert figures["loss_cls"] == pytest.approx(float(apart[:, 0].mean()), rel=1e-4), "an untaught predictor says that nothing changes"
    assert figures["loss_patches"] == pytest.approx(float(apart[:, 1:].mean()), rel=1e-4)


def test_tokens_are_those_that_a_policy_reads() -> None:
    model, (before, now, _) = small(), frames()
    seen = pair_channels(torch.stack([before, now], 1).movedim(2, -1), "past")
    torch.testing.assert_close(model.look(before, now).values, model.fusion(model.streams(seen.m, seen.p)).values)


def test_there_is_no_teacher() -> None:
    """Gradients reach what is predicted as well as what it is predicted from, and every weight."""
    model, seen = small(), [part.requires_grad_() for part in frames()]
    loss, _, _ = model(*seen, generator())
    loss.backward()
    assert all(part.grad is not None and float(part.grad.abs().max()) > 0 for part in seen)
    assert all(weights.grad is not None for weights in model.parameters())


def test_what_is_hidden_is_hidden_from_both_streams() -> None:
    model, (before, now, _) = small(), frames()
    torch.nn.init.normal_(model.mask_m)
    hidden = torch.zeros(16, 16, dtype=torch.bool)
    hidden[:, 5] = True
    other = now.clone()
    other[:, :, 9:15, 9:15] = 0.3  # inside the patch, since gradients look a pixel further
    torch.testing.assert_close(model.look(before, now, hidden).values, model.look(before, other, hidden).values)
    assert not torch.allclose(model.look(before, now).values, model.look(before, other).values)


def test_it_learns_which_way_things_go() -> None:
    model, losses = taught(hidden=0.0)
    assert losses[-1] < 0.5 * losses[0]
    told, picture = model.assess(*frames(), generator())
    assert picture is None and set(told) == {"rank_cls", "rank_patches", "error_patches", "error_unchanged"}
    assert told["error_patches"] < 0.9 * told["error_unchanged"]
    _, now, later = frames()
    assert told["error_patches"] < 0.3 * model.assess(now, now, later, generator())[0]["error_patches"], "by M alone"


def test_without_sigreg_tokens_collapse_and_with_it_they_do_not() -> None:
    ranks, spreads = [], []
    for weight in (0.0, 10.0):
        model, _ = taught(30, sigreg=weight)
        patches = model.look(*frames()[:2]).placed.detach()
        ranks.append(model.assess(*frames(), generator())[0]["rank_patches"])
        spreads.append(float(patches.std(0).mean()))
    assert spreads[0] < 0.2 * spreads[1] and ranks[0] < ranks[1], (spreads, ranks)


def test_a_run_lowers_the_loss_and_keeps_streams_and_fusion_alone(data: Path, tmp_path: Path) -> None:
    folder = run(data, tmp_path, steps=30, batch=8, validate_every=10, save_every=30, **{"objective.cls_fusion": "gating"})
    held_out = [row for row in rows(tmp_path) if row["of"] == "held_out"]
    assert [row["step"] for row in held_out] == [10, 20, 30] and held_out[-1]["loss"] < 0.95 * held_out[0]["loss"]
    assert {"loss_patches", "loss_cls", "sigreg_patches", "sigreg_cls", "rank_cls", "rank_patches"} <= held_out[-1].keys()
    assert {"alpha_cls_video", "gradient_p_prediction", "gradient_p_sigreg"} <= held_out[-1].keys()
    streams, _ = load_streams(folder)
    fusion = load_fusion(folder, streams.grid)
    assert fusion is not None and fusion.choices["cls_fusion"] == "gating" and not list(tmp_path.glob("d*"))
    state = load_file(tmp_path / "state.safetensors")
    for name, value in streams.state_dict().items():
        assert torch.equal(value, state[f"model/streams.{name}"].half().float())


@pytest.mark.parametrize(("part", "said"), [("patches", "fused: collapsed, all are alike"), ("cls", "CLS: collapsed, all are alike")])
def test_a_collapse_stops_the_run_with_a_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, said: str) -> None:
    build = loop.build

    def dead(*arguments: Any) -> Any:
        objective: Any = build(*arguments)
        torch.nn.init.zeros_(getattr(objective.fusion, part).join.weight)
        objective.fusion.requires_grad_(False)
        return objective

    monkeypatch.setattr(loop, "build", dead)
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path, validate_every=0, batch=16)
    assert f"stopped after step 6: {said}" in str(stopped.value) and "\n" not in str(stopped.value)
    assert not list(tmp_path.glob("streams/*"))


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(data: Path, tmp_path: Path) -> None:
    common = {"steps": 40, "batch": 8, "micro_batches": 2, "save_every": 40, "validate_every": 0}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "policy.pretrain"]
    for name, command in (("one", [sys.executable, "-m", "policy.pretrain"]), ("two", torchrun)):
        done = subprocess.run([*command, *words(data, tmp_path / name, **common)], capture_output=True, text=True, env=os.environ, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two] == [20, 40]
    for mine, theirs in zip(one, two, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"objective.hidden": 1.5}, "objective.hidden=1.5: must be at least 0, at most 1"),
        ({"objective.momentum": 0.9}, "objective.momentum: no such option; valid: name, sigreg, slices, hidden, blocks, cls_fusion"),
        ({"objective.cls_fusion": "sum"}, "objective.cls_fusion=sum: unknown; valid: linear, mlp, cross_attention, gating"),
        ({"micro_batches": 4}, "batch: objective=jepa compares pictures; give two pairs at least for each forward pass (batch / micro_batches)"),
        ({"frozen": "true", "init": "."}, "frozen=true: objective=jepa teaches streams; valid with: video_prediction, latent_diffusion"),
    ],
)
def test_refusals(data: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        loop.pretrain(parse("policy.conf", "pretrain", Settings, words(data, tmp_path, **change)))
    assert said in str(refused.value) and "\n" not in str(refused.value)
