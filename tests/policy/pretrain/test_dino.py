"""Two-stream DINO: what it is shown, its loss against values reckoned by hand, its schedules, and what a run of it must hold to."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer

from policy.pretrain import OBJECTIVES, loop
from policy.pretrain.clips import Clips
from policy.pretrain.crops import MultiCrop
from policy.pretrain.dino import Dino
from policy.pretrain.distillation import Teaching
from policy.pretrain.engine import Engine
from policy.pretrain.partial import partial_tokens
from policy.pretrain.patch_mask import block_mask
from policy.pretrain.samples import Samples
from policy.pretrain.settings import Settings
from policy.storage.checkpoint import load_fusion, load_streams
from policy.streams import TwoStreamEncoder
from tests.policy.pretrain.small_play import moving_squares, tiny_vae
from whatwhere.errors import BadInput
from whatwhere.settings import parse

TINY = {"steps": 6, "batch": 4, "dim": 64, "depth": 1, "heads": 2, "save_every": 2, "validate_every": 3, "validate_batches": 1, "holdout": 0.3, "device": "cpu"}
TINY |= {"precision": "fp32", "num_threads": 1, "crop": "[0.4,1.0]", "max_gap": 2}
SMALL = {"objective.prototypes": 32, "objective.width": 32, "objective.bottleneck": 16}
OF = {"dino": SMALL, "both": {key.replace("objective", "objective.dino"): value for key, value in SMALL.items()}, "video_prediction": {}, "forecast": {}}
OF["jepa"] = {"objective.slices": 16, "objective.blocks": 1}
OF["latent_diffusion"] = {"objective.widths": "[16,16]", "objective.fused_patches": "true", "crop": "[1,1]"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moving_squares(tmp_path_factory.mktemp("play"))


def words(data: Path, out: Path, objective: str, **changes: Any) -> list[str]:
    given = TINY | {"objective": objective, "data": data, "out": out} | OF[objective] | changes
    given |= {"objective.vae": tiny_vae(data)} if objective == "latent_diffusion" else {}
    return [f"{key}={'null' if value is None else value}" for key, value in given.items()]


def run(data: Path, out: Path, objective: str = "dino", **changes: Any) -> Path:
    folder = loop.pretrain(parse("policy.conf", "pretrain", Settings, words(data, out, objective, **changes)))
    assert folder is not None
    return folder


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "figures.jsonl").read_text().splitlines()]


def small(**changes: Any) -> Dino:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"prototypes": 32, "width": 32, "bottleneck": 16}
    return Dino(TwoStreamEncoder(32, dim=64, depth=1, heads=2), **(sizes | changes))


# ---- the loss, by hand


def test_the_loss_is_the_cross_entropy_of_each_view_with_the_others() -> None:
    """Two prototypes, one sample; the teacher's two views, the student's three; centre (1, 0), temperatures 0.5 and 1."""
    teaching = Teaching(2, "mean", 0.9, student_temperature=1.0)
    teaching.centre.copy_(torch.tensor([1.0, 0.0]))
    teacher, student = torch.tensor([[[1.0, 0.5]], [[2.0, 0.0]]]), torch.tensor([[[0.0, 0.0]], [[math.log(3), 0.0]], [[0.0, math.log(4)]]])
    wanted = [teaching.wanted(view, 0.5) for view in teacher]
    p = [1 / (1 + math.exp(1)), math.exp(2) / (math.exp(2) + 1)]  # of the first prototype: (1 − 1)/0.5 against 0.5/0.5; (2 − 1)/0.5 against 0
    q = [0.5, 0.75, 0.2]

    def cross(i: int, j: int) -> float:
        return -p[i] * math.log(q[j]) - (1 - p[i]) * math.log(1 - q[j])

    by_hand = (cross(0, 1) + cross(0, 2) + cross(1, 0) + cross(1, 2)) / 4
    assert float(teaching.views_loss(wanted, list(student), 0.5)) == pytest.approx(by_hand, rel=1e-6)


def test_the_loss_of_hidden_patches_is_the_mean_of_each_sample() -> None:
    teaching = Teaching(2, "mean", 0.9, student_temperature=1.0)
    hidden = torch.tensor([[[True, True], [False, False]], [[True, False], [False, False]]])
    wanted, said = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0], [math.log(3), 0.0]])
    one, other = math.log(2), -0.5 * (math.log(0.75) + math.log(0.25))
    assert float(teaching.patches_loss(wanted, said, hidden, 1.0)) == pytest.approx((one + other) / 2, rel=1e-6)


def test_the_centre_is_the_running_mean_and_moves_once_a_step_however_it_is_divided() -> None:
    cosines, centres = torch.rand(6, 5), []
    for pieces in (1, 3):
        teaching = Teaching(5, "mean", 0.9, 0.1)
        for piece in cosines.chunk(pieces):
            assert torch.equal(teaching.wanted(piece, 0.04), piece), "the centre stays within the step"
        teaching.eval()
        teaching.wanted(10 + cosines, 0.04)  # held-out pictures do not count
        teaching.train().move_centre(Engine("cpu"))
        centres.append(teaching.centre.clone())
    torch.testing.assert_close(centres[0], 0.1 * cosines.mean(0))
    torch.testing.assert_close(*centres)


@pytest.mark.parametrize("patches", [0.0, 0.7])
def test_the_loss_is_the_sum_of_its_terms(patches: float) -> None:
    model = small(patches=patches).eval()
    torch.manual_seed(1)
    given = torch.rand(2, 3, 3, 32, 32), torch.rand(2, 2, 3, 3, 16, 16)
    terms = model.terms(*given, torch.Generator().manual_seed(0))
    loss, figures, _ = model(*given, torch.Generator().manual_seed(0))
    assert list(terms) == (["cls", "patches"] if patches else ["cls"])
    assert figures["loss"] == pytest.approx(sum(term.item() for term in terms.values())) == loss.item()
    assert figures["loss_cls"] == terms["cls"].item() and (not patches or figures["loss_patches"] == pytest.approx(terms["patches"].item() / patches))


def test_sinkhorn_uses_all_prototypes_alike() -> None:
    teaching = Teaching(4, "sinkhorn", 0.9, 0.1)
    alike = torch.tensor([1.0, 0.2, 0.1, 0.0]) + 0.05 * torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    shares = (teaching.wanted(alike, 0.05) / 0.05).softmax(-1)
    assert (alike / 0.05).softmax(-1).mean(0)[0] > 0.99, "without it one is chosen for all"
    torch.testing.assert_close(shares.mean(0), torch.full((4,), 0.25), atol=0.02, rtol=0)


# ---- what is seen


@pytest.mark.parametrize("stem", ["conv", "patch"])
def test_partial_tokens_are_the_streams_own_where_nothing_is_missing(stem: str) -> None:
    torch.manual_seed(0)
    streams, picture = TwoStreamEncoder(32, dim=64, depth=1, heads=2, stem=stem), torch.rand(2, 5, 32, 32)
    stream: VisionTransformer = streams.encoder_p
    torch.testing.assert_close(partial_tokens(stream, picture), stream.forward_features(picture))
    hidden, mask = torch.zeros(2, 16, dtype=torch.bool), torch.ones(64)
    torch.testing.assert_close(partial_tokens(stream, picture, hidden, mask), stream.forward_features(picture))
    hidden[:, 5] = True
    other = picture.clone()
    other[:, :, 8:16, 8:16] += 1  # what is in the hidden patch
    torch.testing.assert_close(partial_tokens(stream, picture, hidden, mask), partial_tokens(stream, other, hidden, mask))
    assert not torch.equal(partial_tokens(stream, picture, hidden, mask), stream.forward_features(picture))


def test_small_crops_pass_through_the_same_streams() -> None:
    sight = small().student
    tokens = sight(torch.rand(3, 3, 16, 16), torch.rand(3, 3, 16, 16))
    assert tokens.p_patches.shape == (3, 4, 64) and sight.cls(tokens).shape == (3, 32)
    assert float(sight.cls(tokens).detach().abs().max()) <= 1 + 1e-6, "cosines"


def test_masks_hide_rectangles_of_the_share_that_is_asked_for() -> None:
    mask = block_mask(4000, (12, 12), 0.5, (0.1, 0.5), torch.Generator().manual_seed(0))
    shares = mask.flatten(1).float().mean(1)
    assert abs(float((shares > 0).float().mean()) - 0.5) < 0.03
    chosen = shares[shares > 0]
    assert 0.08 < float(chosen.min()) and float(chosen.max()) < 0.54 and abs(float(chosen.mean()) - 0.3) < 0.02
    rows, columns = mask.any(2), mask.any(1)
    assert torch.equal(mask, rows[:, :, None] & columns[:, None, :]), "rectangles"
    assert block_mask(3, (4, 4), 1e-9, (0.1, 0.5), torch.Generator().manual_seed(0)).any(), "one is hidden in every batch"
    assert not block_mask(3, (4, 4), 0.0, (0.1, 0.5), torch.Generator().manual_seed(0)).any()


def test_samples_are_three_frames_in_crops_that_are_the_same_in_each(data: Path, tmp_path: Path) -> None:
    settings = parse("policy.conf", "pretrain", Settings, words(data, tmp_path, "dino", batch=64, static=0.25))
    samples = Samples(Clips(data, 32, (0.4, 1.0), 0.3), settings, MultiCrop(2, 16))
    whole, local = samples.read(samples.plan(5))
    assert whole.shape == (64, 3, 32, 32, 3) and local.shape == (64, 2, 3, 16, 16, 3)
    again = samples.plan(5)
    for part, other in ((slice(0, 10), slice(0, 10)), (slice(30, 64), slice(30, 64))):
        for mine, theirs in zip(samples.read(again.rows(part)), (whole[other], local[other]), strict=True):
            assert np.array_equal(mine, theirs), "a row does not depend on those beside it"
    still = (whole == whole[:, :1]).all(axis=(1, 2, 3, 4))
    assert 0.1 < still.mean() < 0.6
    changed = (whole[:, 0] != whole[:, 2]).any(-1).mean(axis=(1, 2))
    assert changed.max() < 0.5, "the still background stays where it is"


def test_two_frames_are_too_few(tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", np.zeros((4, 2, 32, 32, 3), np.uint8))
    with pytest.raises(BadInput, match=r"3 frames that move need videos as long.*give static=1"):
        run(tmp_path, tmp_path / "out", holdout=0)


# ---- schedules


def test_the_teacher_begins_as_the_student_and_follows_it_ever_more_slowly() -> None:
    objective = small(momentum=0.9, temperature_warmup=0.5, freeze=0.25, weight_decay_end=0.4)
    optimizer = torch.optim.AdamW(objective.groups(), lr=0.1, weight_decay=0.04)
    with torch.no_grad():
        objective.student.cls_head.weight.add_(1)
    told = []
    for step in range(9):
        objective.begin(step, 9, optimizer)
        teacher, student = objective.teacher.cls_head.weight, objective.student.cls_head.weight
        if step == 0:
            assert torch.equal(teacher, student) and not teacher.requires_grad
        with torch.no_grad():
            student.add_(1)
        before = teacher.clone()
        objective.cls_teaching.wanted(torch.rand(2, 32), 0.04)
        objective.patch_teaching.wanted(torch.rand(2, 32), 0.04)  # type: ignore[union-attr]
        objective.end(Engine("cpu"))
        torch.testing.assert_close(teacher, objective.momentum * before + (1 - objective.momentum) * student.detach())
        told.append((objective.momentum, objective.temperature, objective.student.cls_head.frozen, optimizer.param_groups[0]["weight_decay"]))
    momenta, temperatures, frozen, decays = zip(*told, strict=True)
    assert momenta[0] == 0.9 and momenta[-1] == 1.0 and list(momenta) == sorted(momenta)
    assert temperatures[0] == 0.04 and temperatures[5] == temperatures[8] == pytest.approx(0.07) and list(temperatures) == sorted(temperatures)
    assert frozen == (True,) * 3 + (False,) * 6 and decays[0] == pytest.approx(0.04) and decays[-1] == 0.4
    assert optimizer.param_groups[1]["weight_decay"] == 0 and all(weights.ndim < 2 for weights in optimizer.param_groups[1]["params"])


def test_gradient_reaches_every_part_of_the_student_and_none_of_the_teacher() -> None:
    objective = small()
    loss, figures, _ = objective(torch.rand(4, 3, 3, 32, 32), torch.rand(4, 2, 3, 3, 16, 16), torch.Generator().manual_seed(0))
    loss.backward()
    assert all(weights.grad is not None for weights in objective.student.parameters())
    assert all(weights.grad is None for weights in objective.teacher.parameters())
    assert figures["kl"] == pytest.approx(figures["loss_cls"] - figures["entropy_teacher"]) and figures["kl"] > 0
    assert figures["loss"] == pytest.approx(figures["loss_cls"] + figures["loss_patches"], rel=1e-5)


# ---- runs, of each objective


@pytest.mark.parametrize("objective", sorted(set(OBJECTIVES) - {"video_prediction"}))
def test_a_run_that_stopped_goes_on_to_the_same_bits(data: Path, tmp_path: Path, objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(data, tmp_path / "whole", objective)
    step, done = loop.train_step, []

    def stops(*arguments: Any) -> Any:
        if len(done) in (3, 6):
            done.append("stop")
            raise KeyboardInterrupt
        done.append("step")
        return step(*arguments)

    monkeypatch.setattr(loop, "train_step", stops)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "again", objective)
    resumed = run(data, tmp_path / "again", objective)
    first, second = (load_file(folder.parents[1] / "state.safetensors") for folder in (whole, resumed))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert rows(tmp_path / "again") == rows(tmp_path / "whole")
    told = [row for row in rows(tmp_path / "whole") if row["of"] == "held_out"]
    own = {"rank_cls", "rank_patches", "entropy_teacher", "entropy_student", "kl"}
    own = {"generated_db", "without_change_db", "vae_db", "copy_db"} if objective == "latent_diffusion" else own
    own = {"prediction_db", "without_change_db", "copy_db"} if objective == "forecast" else own
    own = {"rank_cls", "rank_patches", "sigreg_patches", "sigreg_cls", "error_patches"} if objective == "jepa" else own
    assert [row["step"] for row in told] == [3, 6] and own <= told[0].keys()


def test_what_is_kept_is_the_teacher_or_the_student(data: Path, tmp_path: Path) -> None:
    for keep in ("teacher", "student"):
        folder = run(data, tmp_path / keep, **{"objective.keep": keep, "objective.cls_fusion": "gating"})
        streams, _ = load_streams(folder)
        fusion = load_fusion(folder, streams.grid)
        state = load_file(folder.parents[1] / "state.safetensors")
        assert fusion is not None and fusion.choices["cls_fusion"] == "gating"
        for name, value in streams.state_dict().items():
            assert torch.equal(value, state[f"model/{keep}.streams.{name}"].half().float())


def test_a_stage_begins_with_the_streams_of_the_one_before(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = run(data, tmp_path / "before", "video_prediction"), []

    def kept(settings: Any, engine: Any, clips: Any, objective: Any) -> dict[str, float]:
        objective.begin(0, 1, torch.optim.AdamW(objective.groups()))
        seen.append(objective)
        return {}

    monkeypatch.setattr(loop, "_train", kept)
    run(data, tmp_path / "next", init=before)
    for name, value in load_file(before / "model.safetensors").items():
        assert torch.equal(seen[0].teacher.streams.state_dict()[name], value.float()), "the teacher's, too"


def test_a_collapse_stops_the_run_with_a_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = loop.build

    def dead(*arguments: Any) -> Any:
        objective: Any = build(*arguments)
        torch.nn.init.zeros_(objective.student.cls_head.layers[-1].weight)
        objective.student.cls_head.layers[-1].requires_grad_(False)
        return objective

    monkeypatch.setattr(loop, "build", dead)
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path, validate_every=0)
    assert "stopped after step 6: CLS: prototypes: collapsed, all are alike for every picture" in str(stopped.value) and "\n" not in str(stopped.value)
    assert not list(tmp_path.glob("streams/*"))


@pytest.mark.slow
@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_two_processes_give_the_curve_of_one(data: Path, tmp_path: Path, centring: str) -> None:
    common = {"steps": 40, "batch": 8, "micro_batches": 2, "save_every": 40, "validate_every": 0, "objective.centring": centring}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "policy.pretrain"]
    for name, command in (("one", [sys.executable, "-m", "policy.pretrain"]), ("two", torchrun)):
        done = subprocess.run([*command, *words(data, tmp_path / name, "dino", **common)], capture_output=True, text=True, env=os.environ, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two] == [20, 40]
    for mine, theirs in zip(one, two, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
    first, second = (load_file(tmp_path / name / "state.safetensors") for name in ("one", "two"))
    torch.testing.assert_close(first["model/cls_teaching.centre"], second["model/cls_teaching.centre"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("preset", ["dino_full_scale", "dino_small"])
def test_presets_take_a_step_at_reduced_width(data: Path, tmp_path: Path, preset: str) -> None:
    whole = parse("policy.conf", "pretrain", Settings, [f"preset={preset}", f"data={data}"])
    assert whole.objective.name == "dino"
    reduced = {"dim": 64, "heads": 1, "depth": 1, "batch": 2, "micro_batches": 2, "epochs": None, "steps": 1, "loaders": 0, "holdout": 0.3, "max_gap": 1}
    reduced |= {"objective.width": 32, "validate_every": 1, "validate_batches": 1, "num_threads": 1, "precision": "fp32", "device": "cpu"}
    if preset == "dino_full_scale":
        assert (whole.size, whole.dim, whole.batch, whole.epochs, whole.lr) == (224, 768, 256, 300, 5e-4)
        assert (whole.objective.prototypes, whole.objective.local_size, whole.objective.momentum) == (65536, 96, 0.996)  # type: ignore[union-attr]
        reduced["objective.prototypes"] = 512
    given = [f"{key}={'null' if value is None else value}" for key, value in ({"preset": preset, "data": data, "out": tmp_path} | reduced).items()]
    folder = loop.pretrain(parse("policy.conf", "pretrain", Settings, given))
    assert folder is not None and " objective=dino " in (folder / "README.md").read_text()
    assert load_streams(folder)[0].size == (224 if preset == "dino_full_scale" else 32)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"objective.hidden": 0.5}, "objective.hidden: no such option; valid: name, prototypes"),
        ({"objective.centring": "median"}, "objective.centring=median: unknown; valid: mean, sinkhorn"),
        ({"objective.cls_fusion": "sum"}, "objective.cls_fusion=sum: unknown; valid: linear, mlp, cross_attention, gating"),
        ({"objective.mask": "[0.5,0.1]"}, "objective.mask=[0.5,0.1]: needs two shares"),
        ({"objective.local_scale": "[0.5]"}, "objective.local_scale=[0.5]: needs 2 elements"),
        ({"objective.local_size": 12}, "objective.local_size=12: must be a multiple of patch=8, at most size=32"),
        ({"objective.local_size": 40}, "objective.local_size=40: must be a multiple of patch=8, at most size=32"),
        ({"objective.student_temperature": 0}, "objective.student_temperature=0.0: must be at least 0.001"),
        ({"objective.dino.patches": 0}, "objective.dino: no such option"),
    ],
)
def test_refusals(data: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        loop.pretrain(parse("policy.conf", "pretrain", Settings, words(data, tmp_path, "dino", **change)))
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_without_lightly_a_line_says_what_to_install(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policy.pretrain.objective_settings.find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r"needs lightly, not installed here; run: pip install 'whatwhere\[dino\]'"):
        parse("policy.conf", "pretrain", Settings, words(data, tmp_path, "dino"))


def test_streams_can_be_frozen_below_it() -> None:
    """A number of the same name once hid the method."""
    objective = small(freeze=0.1)
    objective.freeze()
    assert not any(weights.requires_grad for part in (objective.streams, objective.fusion) for weights in part.parameters())
    assert any(weights.requires_grad for weights in objective.parameters())
