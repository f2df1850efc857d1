"""The loop: resuming, held-out figures, stages, several processes, the full design's sizes, and what is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from policy.config import PolicyConfig, StreamsConfig
from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain import OBJECTIVES, loop
from policy.pretrain.settings import Settings, check_memory
from policy.probing import quick
from policy.storage.checkpoint import load_fusion, load_streams, save_streams
from policy.streams import TwoStreamEncoder
from tests.policy.pretrain.small_play import moving_squares, tiny_vae
from whatwhere.errors import BadInput
from whatwhere.settings import parse

TINY = {"steps": 8, "batch": 4, "dim": 64, "depth": 1, "heads": 2, "save_every": 2, "validate_every": 4, "validate_batches": 1, "holdout": 0.3, "device": "cpu"}
TINY |= {"precision": "fp32", "num_threads": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moving_squares(tmp_path_factory.mktemp("play"))


def words(data: Path, out: Path, **changes: Any) -> list[str]:
    return [f"{key}={'null' if value is None else value}" for key, value in (TINY | {"data": data, "out": out} | changes).items()]


def run(data: Path, out: Path, **changes: Any) -> Path:
    folder = loop.pretrain(parse("policy.conf", "pretrain", Settings, words(data, out, **changes)))
    assert folder is not None
    return folder


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "figures.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(data, tmp_path_factory.mktemp("whole"))


def test_a_run_that_stopped_goes_on_to_the_same_bits(data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, done = loop.train_step, []

    def stops(*arguments: Any) -> Any:
        if len(done) in (3, 6):  # after a step that was not saved, and once more
            done.append("stop")
            raise KeyboardInterrupt
        done.append("step")
        return step(*arguments)

    monkeypatch.setattr(loop, "train_step", stops)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path)
    resumed = run(data, tmp_path)
    assert done.count("stop") == 2
    for name in ("model.safetensors", "fusion.safetensors"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()
    first, second = (load_file(folder.parents[1] / "state.safetensors") for folder in (whole, resumed))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert rows(tmp_path) == rows(whole.parents[1]), "no step is told twice"


def test_held_out_figures_are_stored_and_do_not_touch_the_training(data: Path, whole: Path, tmp_path: Path) -> None:
    told = [row for row in rows(whole.parents[1]) if row["of"] == "held_out"]
    assert [row["step"] for row in told] == [4, 8] and all(np.isfinite(row["loss"]) for row in told)
    kept = json.loads((whole / "config.json").read_text())["training"]
    assert kept["figures"]["held_out/loss"] == told[-1]["loss"]
    assert (whole.parents[1] / "pictures_held_out.png").exists()
    assert run(data, tmp_path, validate_every=0).name == whole.name


def test_what_is_kept_is_streams_and_fusion_and_nothing_of_the_decoder(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {"model.safetensors", "config.json", "fusion.safetensors", "fusion.json", "README.md"}
    card = (whole / "README.md").read_text()
    assert "python -m policy.pretrain data=" in card and "held_out/prediction_db" in card and "It took 0 minutes" in card
    names = [*load_file(whole / "model.safetensors"), *load_file(whole / "fusion.safetensors")]
    assert all(name.split(".")[0] in ("encoder_m", "encoder_p", "patches", "cls") for name in names)
    streams, record = load_streams(whole)
    fusion = load_fusion(whole, streams.grid)
    assert fusion is not None and fusion.choices == {"fusion": "linear", "cls_fusion": "linear", "sharing": "separate"}
    state = load_file(whole.parents[1] / "state.safetensors")
    for name, value in fusion.state_dict().items():
        assert torch.equal(value, state[f"model/fusion.{name}"].half().float())
    assert record["sha256"][:16] == whole.name


def test_the_name_of_streams_does_not_depend_on_a_fusion(tmp_path: Path) -> None:
    torch.manual_seed(0)
    streams, config = TwoStreamEncoder(32, dim=64, depth=1, heads=2), PolicyConfig(size=32, streams=StreamsConfig(dim=64, depth=1, heads=2))
    fusion = PixelwiseFusion(64, streams.grid, "mlp", "mlp", "shared")
    name = save_streams(streams, tmp_path / "a", config)
    assert name == save_streams(streams, tmp_path / "b", config, fusion=fusion)
    assert load_fusion(tmp_path / "a" / "streams" / name[:16], streams.grid) is None
    folder = tmp_path / "b" / "streams" / name[:16]
    loaded = load_fusion(folder, streams.grid)
    assert loaded is not None and loaded.choices == fusion.choices
    (folder / "fusion.safetensors").write_bytes(b"torn" * 30)
    with pytest.raises(BadInput, match=r"fusion\.safetensors"):
        load_fusion(folder, streams.grid)


def test_a_stage_begins_with_the_streams_and_the_fusion_of_the_one_before(data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(loop, "_train", lambda settings, engine, clips, objective: seen.append(objective) or {})
    run(data, tmp_path / "next", init=whole)
    kept = load_file(whole / "model.safetensors") | {f"fusion.{key}": value for key, value in load_file(whole / "fusion.safetensors").items()}
    state = seen[0].streams.state_dict() | {f"fusion.{key}": value for key, value in seen[0].fusion.state_dict().items()}
    assert kept.keys() == state.keys() and all(torch.equal(kept[key].float(), state[key]) for key in kept)
    run(data, tmp_path / "larger", init=whole, size=64)
    assert seen[1].streams.encoder_p.pos_embed.shape[1] == 1 + 8 * 8, "positions are interpolated"
    with pytest.raises(BadInput, match="give dim=64"):
        run(data, tmp_path / "other", init=whole, dim=128)
    with pytest.raises(BadInput, match=r"init=.*no such folder"):
        run(data, tmp_path / "other", init=tmp_path / "nowhere")


def test_streams_that_could_not_be_kept_are_not_begun(data: Path, tmp_path: Path) -> None:
    # by what the machine has or, on a very large one, by what a checkpoint may hold
    with pytest.raises(BadInput, match=r"dim=4096, depth=64: weights that take 384 GiB in training|streams\.dim=4096: make 2\.6e\+10 weights; at most 1e\+09"):
        run(data, tmp_path / "large", dim=4096, depth=64, heads=64)
    with pytest.raises(BadInput, match="depth=65: must be at least 1, at most 64"):
        run(data, tmp_path / "large", depth=65)


def test_another_run_in_the_same_folder_is_refused(data: Path, whole: Path) -> None:
    for change in ({"lr": 0.5}, {"objective.hidden": 0.1}, {"holdout": 0.1}):
        with pytest.raises(BadInput, match="other settings"):
            run(data, whole.parents[1], **change)


def test_pieces_of_a_batch_add_up(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of a batch in two pieces are the mean of the pieces'."""
    settings = parse("policy.conf", "pretrain", Settings, words(data, tmp_path, micro_batches=2))
    gradients = []

    class Kept(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            gradients.append({name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None})

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: None)
    monkeypatch.setattr(loop, "autocast", lambda *_: torch.autocast("cpu", enabled=False))
    torch.manual_seed(0)
    objective = loop.build(settings, 32)
    engine, optimizer = loop.Engine("cpu"), Kept(objective.parameters(), lr=0.0)
    now, later = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    loop.train_step(settings, engine, objective, optimizer, 5, now, later)
    for piece in range(2):
        half = dataclasses.replace(settings, micro_batches=1)
        loop.train_step(half, engine, objective, optimizer, 10 + piece, now[2 * piece : 2 * piece + 2], later[2 * piece : 2 * piece + 2])
    both, one, two = gradients
    for name, value in both.items():
        if "image_encoder" not in name and "decoder" not in name:
            torch.testing.assert_close(value, (one[name] + two[name]) / 2, rtol=1e-4, atol=1e-6)


def test_a_collapse_and_a_loss_that_is_not_finite_stop_the_run_with_a_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = loop.build

    def dead(*arguments: Any) -> Any:
        objective: Any = build(*arguments)
        torch.nn.init.zeros_(objective.fusion.patches.join.weight)
        objective.fusion.patches.requires_grad_(False)
        return objective

    monkeypatch.setattr(loop, "build", dead)
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "dead")
    assert "stopped after step 4: fused: collapsed" in str(stopped.value) and not list((tmp_path / "dead").glob("streams/*"))

    def wild(*arguments: Any) -> Any:
        objective: Any = build(*arguments)
        with torch.no_grad():
            objective.mask.fill_(float("nan"))
        return objective

    monkeypatch.setattr(loop, "build", wild)
    with pytest.raises(SystemExit, match="the loss is not finite"):
        run(data, tmp_path / "wild")


def test_probes_are_asked_while_training_and_may_stop_it(data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, Any]] = []

    class Probe:
        def __init__(self, scenes: str) -> None:
            assert scenes == str(tmp_path)

        def __call__(self, streams: Any, fusion: Any) -> tuple[dict[str, float], list[str]]:
            asked.append((streams, fusion))
            return {"xy_fused_cm": 2.5}, ["P: collapsed"] if len(asked) > 3 else []

    monkeypatch.setattr(quick, "QuickProbe", Probe)
    assert run(data, tmp_path / "a", probe=tmp_path, probe_every=3).name == whole.name, "the training does not notice"
    assert [row["step"] for row in rows(tmp_path / "a") if row["of"] == "probe" and row["xy_fused_cm"] == 2.5] == [3, 6, 8]
    with pytest.raises(SystemExit, match="stopped after step 3: P: collapsed"):
        run(data, tmp_path / "b", probe=tmp_path, probe_every=3)


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
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    first, second = (load_file(next((tmp_path / name / "streams").rglob("model.safetensors"))) for name in ("one", "two"))
    for key, value in first.items():
        torch.testing.assert_close(value.float(), second[key].float(), rtol=1e-2, atol=1e-3)


def test_the_full_design_takes_a_step_at_reduced_width(data: Path, tmp_path: Path) -> None:
    full = parse("policy.conf", "pretrain", Settings, ["preset=full_scale", f"data={data}"])
    assert (full.size, full.patch, full.dim, full.depth, full.heads, full.batch, full.epochs) == (224, 16, 768, 12, 12, 128, 100)
    reduced = {"preset": "full_scale", "dim": 64, "heads": 1, "depth": 2, "batch": 2, "micro_batches": 2, "epochs": None, "steps": 1, "loaders": 1}
    plain = ["steps", "batch", "dim", "depth", "heads", "save_every"]
    given = {key: value for key, value in TINY.items() if key not in plain} | reduced | {"data": data, "out": tmp_path}
    settings = parse("policy.conf", "pretrain", Settings, [f"{key}={'null' if value is None else value}" for key, value in given.items()])
    folder = loop.pretrain(settings)
    assert folder is not None
    streams, record = load_streams(folder)
    assert record["size"] == 224 and streams.grid == (14, 14) and record["streams"]["stem"] == "patch"


def test_epochs_are_counted_in_clips(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, epochs=2.5, holdout=0, save_every=100)
    assert json.loads((tmp_path / "settings.json").read_text())["steps"] == 8  # 12 clips, batches of 4, 7.5 of them


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"objective": "video"}, "objective=video: unknown; valid: "),
        ({"objective.hiden": 0.5}, "objective.hiden: no such option"),
        ({"objective.hidden": 1.5}, "objective.hidden=1.5: must be at least 0, at most 1"),
        ({"objective.image_encoder": "x" * 200}, "objective.image_encoder"),
        ({"preset": "full"}, "preset=full: unknown; valid: dino_full_scale, dino_small, full_scale (did you mean full_scale?)"),
        ({"micro_batches": 3}, "micro_batches=3: must divide batch=4"),
        ({"crop": "[0.5]"}, "crop="),
        ({"crop": "[0.9,0.5]"}, "crop="),
        ({"holdout": 1}, "holdout=1"),
        ({"static": 1.2}, "static=1.2"),
        ({"size": 33}, "size=33"),
        ({"probe": "/nowhere"}, "probe=/nowhere: no such folder"),
        ({"data": "/nowhere"}, "data=/nowhere: no such folder"),
        ({"data": __file__}, "is a file; give the folder that it lies in"),
        ({"init": "/tmp"}, "init=/tmp: /tmp/config.json: no such file"),
    ],
)
def test_refusals(data: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    given = words(**({"data": data, "out": tmp_path} | change))
    with pytest.raises(BadInput) as refused:
        loop.pretrain(parse("policy.conf", "pretrain", Settings, given))
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_streams_that_no_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 2**12 if name == "SC_PAGE_SIZE" else 2**22)  # 16 GiB
    check_memory(128, 4)
    with pytest.raises(BadInput, match="dim=4096, depth=64: weights that take 384 GiB in training; this machine has 16 GiB"):
        check_memory(4096, 64)


def test_every_objective_has_its_settings(tmp_path: Path) -> None:
    for name in OBJECTIVES:
        more = [f"objective.vae={tiny_vae(tmp_path)}"] if name == "latent_diffusion" else []
        settings = parse("policy.conf", "pretrain", Settings, [f"objective={name}", "data=/tmp", "dim=64", "depth=1", "heads=2", *more])
        objective = loop.build(settings, 32)
        assert settings.objective.name == name and isinstance(objective.streams, TwoStreamEncoder) and objective.fusion is not None
