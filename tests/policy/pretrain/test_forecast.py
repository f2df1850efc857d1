"""`objective=forecast`: it sees what a policy sees, and not what it must say; and how CLS is joined in pre-training, with gates that can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy.pretrain.clips import Clips
from policy.pretrain.forecast import Forecast
from policy.pretrain.gates import gate_shares
from policy.pretrain.loop import pretrain
from policy.pretrain.objective_settings import as_recorded
from policy.pretrain.settings import Settings
from policy.pretrain.video_prediction import VideoPrediction
from policy.storage.checkpoint import load_fusion, load_streams
from policy.streams import TwoStreamEncoder
from tests.policy.pretrain.small_play import moving_squares
from whatwhere.errors import BadInput
from whatwhere.settings import parse

SIZE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moving_squares(tmp_path_factory.mktemp("play"))


def settings(data: Path, out: Path, *words: str) -> Settings:
    small = "size=32 steps=2 batch=4 dim=64 depth=1 heads=2 static=0.3 max_gap=2 holdout=0.3 validate_every=2 validate_batches=1 loaders=0 precision=fp32"
    return parse("policy.conf", "pretrain", Settings, [f"data={data}", f"out={out}", *small.split(), "objective.blind=1", *words])


def streams() -> TwoStreamEncoder:
    torch.manual_seed(0)
    return TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def frames() -> tuple[torch.Tensor, ...]:
    """A bright square that moves on by 4 pixels a frame."""
    found = torch.zeros(3, 4, 3, SIZE, SIZE)
    for t in range(3):
        for row in range(4):
            found[t, row, :, 4 + 4 * row : 12 + 4 * row, 4 + 4 * t : 12 + 4 * t] = 1
    return tuple(found)


def test_samples_are_three_frames_that_are_equally_far_apart(data: Path) -> None:
    clips = Clips(data, SIZE, (1.0, 1.0), 0.3)
    plan = clips.plan(0, 0, 8, 0.3, 2, frames=3)
    before, now, later = clips.read(plan, 3)
    for row in range(8):
        clip, t, k = clips.footage[int(plan.source[row])], plan.first[row], plan.gap[row]
        assert [np.array_equal(seen[row], clip[t + i * k]) for i, seen in enumerate((before, now, later))] == [True] * 3
    assert 0 < (plan.gap == 0).sum() < 8
    assert all(np.array_equal(a, b) for a, b in zip(clips.read(plan), (before, now), strict=True)), "two frames are the first two"


def test_the_frame_to_come_is_seen_by_no_stream_and_the_way_there_is() -> None:
    before, now, later = frames()
    model = Forecast(streams(), blind=1.0, hidden=0.0, unknown=0.0)
    torch.nn.init.normal_(model.decoder.leave.weight, std=0.1)
    model.eval()
    with torch.no_grad():
        said = model(before, now, later, generator())[2]
        assert torch.equal(said, model(before, now, torch.rand_like(later), generator())[2])
        assert not torch.equal(said, model(now, now, later, generator())[2]), "where it came from"


def test_it_learns_which_way_things_go() -> None:
    """Two batches that differ in where the square came from alone: only M tells which way it goes on."""
    first, middle, last = frames()
    there = torch.cat([first, last]), torch.cat([middle, middle]), torch.cat([last, first])
    model = Forecast(streams(), blind=1.0, hidden=0.0, unknown=0.0, words=0.0, perceptual=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(60):
        loss, _figures, _picture = model(*there, generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    told, _ = model.eval().assess(*there, generator())
    assert set(told) == {"prediction_db", "blind_prediction_db", "without_change_db", "blind_without_change_db", "copy_db"}
    assert told["prediction_db"] > told["without_change_db"] + 1


def test_a_run_keeps_streams_and_fusion_and_no_decoder(data: Path, tmp_path: Path) -> None:
    kept = pretrain(settings(data, tmp_path, "objective=forecast"))
    assert kept is not None and not (tmp_path / "decoder").exists()
    held_out = [row for row in map(json.loads, (tmp_path / "figures.jsonl").read_text().splitlines()) if row["of"] == "held_out"]
    assert "prediction_db" in held_out[-1] and "reconstruction_db" not in held_out[-1]
    assert json.loads((kept / "config.json").read_text())["training"]["settings"]["objective"]["name"] == "forecast"


@pytest.mark.parametrize("cls_fusion", ["linear", "mlp", "cross_attention", "gating"])
def test_every_way_to_join_cls_can_be_pre_trained(data: Path, tmp_path: Path, cls_fusion: str) -> None:
    kept = pretrain(settings(data, tmp_path, f"objective.cls_fusion={cls_fusion}"))
    assert kept is not None
    fusion = load_fusion(kept, load_streams(kept)[0].grid)
    assert fusion is not None and fusion.choices["cls_fusion"] == cls_fusion
    held_out = [row for row in map(json.loads, (tmp_path / "figures.jsonl").read_text().splitlines()) if row["of"] == "held_out"]
    assert ("alpha_cls_video" in held_out[-1]) == ("alpha_cls_static" in held_out[-1]) == (cls_fusion == "gating")
    told = json.loads((tmp_path / "settings.json").read_text())["objective"]
    assert told.get("cls_fusion", "linear") == cls_fusion and ("cls_fusion" in told) == (cls_fusion != "linear"), "files of earlier versions have none"


def test_alpha_is_what_the_gate_lets_through() -> None:
    model = VideoPrediction(streams(), blind=1.0, cls_fusion="gating")
    gate: Any = model.fusion.cls.gate
    torch.nn.init.zeros_(gate.weight)
    torch.nn.init.constant_(gate.bias, float(np.log(3)))
    now, later, _ = frames()
    assert gate_shares(model.streams, model.fusion, now, later) == pytest.approx({"alpha_cls_video": 0.75, "alpha_cls_static": 0.75})
    torch.nn.init.normal_(gate.weight)
    told = gate_shares(model.streams, model.fusion, now, later)
    assert told["alpha_cls_video"] != told["alpha_cls_static"]
    assert gate_shares(model.streams, model.fusion, now, now) == {} and gate_shares(model.streams, Forecast(streams(), blind=1.0).fusion, now, later) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objective.cls_fusion=gate"], "objective.cls_fusion=gate: unknown; valid: linear, mlp, cross_attention, gating"),
        (["objective=forecast", "frozen=true", "init=."], "objective=forecast teaches streams"),
        (["objective=forecasts"], "did you mean forecast"),
    ],
)
def test_refusals(data: Path, tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        settings(data, tmp_path, *words)


def test_both_read_one_fusion() -> None:
    assert as_recorded({"name": "both", "video_prediction": {"name": "video_prediction", "cls_fusion": "linear"}}) == {
        "name": "both",
        "video_prediction": {"name": "video_prediction"},
    }
    with pytest.raises(BadInput, match=r"give objective\.dino\.cls_fusion"):
        parse("policy.conf", "pretrain", Settings, ["objective=both", "objective.video_prediction.cls_fusion=mlp"])
