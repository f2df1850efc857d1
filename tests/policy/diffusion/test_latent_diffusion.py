"""Latent diffusion: its loss and its generation against values reckoned by hand, what is kept, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from policy.change import ChangeEncoder
from policy.diffusion import imagining
from policy.diffusion.denoiser import NOISE_STEPS, Denoiser, _spaced
from policy.diffusion.generator import FrameGenerator
from policy.diffusion.imagine_settings import Settings as Imagining
from policy.pretrain import loop
from policy.pretrain.kept_decoder import FrameDecoder
from policy.pretrain.latent_diffusion import LatentDiffusion
from policy.pretrain.settings import Settings
from policy.shapes import Tokens, cell_centres
from policy.streams import TwoStreamEncoder
from tests.policy.pretrain.small_play import moving_squares, tiny_vae
from whatwhere.errors import BadInput
from whatwhere.settings import parse

TINY = {"steps": 4, "batch": 4, "dim": 64, "depth": 1, "heads": 2, "save_every": 4, "validate_every": 0, "holdout": 0.3, "device": "cpu", "num_threads": 1}
TINY |= {"precision": "fp32"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = moving_squares(tmp_path_factory.mktemp("play"))
    tiny_vae(folder)
    return folder


def run(data: Path, out: Path, objective: str = "latent_diffusion", **changes: Any) -> Path:
    own = {"objective.vae": data / "vae", "objective.widths": "[16,16]", "objective.fused_patches": "true"} if objective == "latent_diffusion" else {}
    given = TINY | {"objective": objective, "data": data, "out": out} | own | changes
    folder = loop.pretrain(parse("policy.conf", "pretrain", Settings, [f"{key}={value}" for key, value in given.items()]))
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def streams(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of video prediction."""
    return run(data, tmp_path_factory.mktemp("streams"), "video_prediction")


@pytest.fixture(scope="module")
def trained(data: Path, streams: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of a diffusion over them."""
    out = tmp_path_factory.mktemp("diffusion")
    assert run(data, out, init=streams, frozen="true").name == streams.name, "frozen streams stay the same to the bit"
    return out


def alphas() -> torch.Tensor:
    """What is left of a picture after each noise step: Rombach et al. 2022."""
    return torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, NOISE_STEPS) ** 2, 0)


def change(b: int, dim: int = 64, side: int = 4) -> Tokens:
    return Tokens(torch.randn(b, 1 + side * side, dim), cell_centres((side, side))[None])


@pytest.mark.parametrize("patches", [False, True])
def test_the_loss_is_the_one_reckoned_by_hand(patches: bool) -> None:
    torch.manual_seed(0)
    denoiser, now, later = Denoiser(4, 64, (16, 16), patches), torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    context = denoiser.context(change(3))
    assert context.shape == (3, 17 if patches else 1, 64)
    loss = denoiser.loss(now, later, context, torch.Generator().manual_seed(5))
    drawn = torch.Generator().manual_seed(5)
    step = torch.randint(0, NOISE_STEPS, (3,), generator=drawn)
    noise, left = torch.randn(3, 4, 8, 8, generator=drawn), alphas()[step].view(3, 1, 1, 1)
    torch.testing.assert_close(denoiser.spread, (later - now).std())
    noisy = left.sqrt() * (later - now) / (later - now).std() + (1 - left).sqrt() * noise
    torch.testing.assert_close(loss, (denoiser(noisy, now, step, context) - noise).square().mean())


def test_two_steps_of_generation_are_those_reckoned_by_hand() -> None:
    """DDIM without noise of its own: x₀ from the noise that is found, then as far as the next step has it."""
    torch.manual_seed(0)
    denoiser, now = Denoiser(4, 64, (16, 16), False).eval(), torch.randn(2, 4, 8, 8)
    context, x = denoiser.context(change(2)), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(9))
    denoiser.spread.fill_(0.5)
    left = alphas()
    with torch.no_grad():
        for step, after in ((999, left[499]), (499, torch.tensor(1.0))):
            noise = denoiser(x, now, torch.full((2,), step), context)
            start = (x - (1 - left[step]).sqrt() * noise) / left[step].sqrt()
            x = after.sqrt() * start + (1 - after).sqrt() * noise
    torch.testing.assert_close(denoiser.generate(now, context, 2, 9), now + 0.5 * x, rtol=1e-4, atol=1e-4)


def test_patches_stand_where_they_are_seen() -> None:
    """Each over its own cells of the latent; without a change the same everywhere, as in training."""
    torch.manual_seed(0)
    denoiser = Denoiser(4, 64, (16, 16), True).eval()
    assert denoiser.placed is not None
    tokens = torch.arange(5.0).expand(2, 5).unsqueeze(-1)
    assert _spaced(tokens, 4, 4)[1, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    now, x, step = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([500, 20])
    seen = change(2)
    torch.nn.init.normal_(denoiser.nothing)
    unknown = denoiser.context(seen, torch.ones(2, dtype=torch.bool))
    with torch.no_grad():
        torch.testing.assert_close(denoiser(x, now, step, unknown), denoiser(x, now, step, denoiser.nothing.expand(2, 1, -1)), rtol=1e-4, atol=1e-5)
        other = Tokens(seen.values.clone(), seen.positions)
        other.values[:, 1] += 5  # the first patch: up and left
        moved = (_spaced(denoiser.placed(denoiser.context(seen)), 8, 8) - _spaced(denoiser.placed(denoiser.context(other)), 8, 8)).abs().amax((0, 1))
    assert (moved > 1e-6).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_of_several_processes_the_first_ones_spread_counts_from_the_first_step_on(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(4, 64, (16, 16), False).eval()
    now, later, context = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), denoiser.context(change(2))

    def loss() -> float:
        return denoiser.loss(now, later, context, torch.Generator().manual_seed(3)).item()

    alone, own = loss(), denoiser.spread.item()
    assert own == pytest.approx((later - now).std().item())
    denoiser.spread.fill_(0.25)
    first = loss()
    denoiser.spread.zero_()
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.broadcast", lambda value, src: value.fill_(0.25 if src == 0 else 9))
    assert loss() == first != alone and denoiser.spread.item() == 0.25


def test_unknown_samples_have_a_context_that_knows_nothing_of_the_change() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(4, 64, (16, 16), True)
    torch.nn.init.normal_(denoiser.nothing)
    one, two = (denoiser.context(change(2), torch.tensor([True, False])) for _ in range(2))
    assert torch.equal(one[0], two[0]) and not torch.equal(one[1], two[1])


def test_gradient_reaches_streams_and_network_and_the_average_follows(data: Path) -> None:
    torch.manual_seed(0)
    streams = TwoStreamEncoder(32, dim=64, depth=1, heads=2)
    objective, frames = LatentDiffusion(streams, str(data / "vae"), True, widths=(16, 16), without_change=0.5, ema=0.5), torch.rand(2, 4, 3, 32, 32)
    for _ in range(2):
        objective(*frames, torch.Generator().manual_seed(0))[0].backward()
        with torch.no_grad():
            for weights in objective._trained():
                weights -= weights.grad if weights.grad is not None else 0
        objective.end(loop.Engine("cpu"))
    missed = {name for name, weights in objective.named_parameters() if weights.requires_grad and weights.grad is None}
    assert missed <= {"mask"} and all(weights.grad is None for weights in objective.autoencoder.parameters())
    mean: Any = objective.average.module.nothing
    mine = objective.denoiser.nothing
    assert not torch.equal(mine, mean) and mean.abs().sum() > 0
    objective.freeze()
    assert not any(weights.requires_grad for part in objective.kept for weights in part.parameters())


def test_the_average_is_short_at_first(data: Path) -> None:
    """After a hundred steps hardly anything of the untrained weights is left in it; later it is as long as is asked for."""
    objective = LatentDiffusion(TwoStreamEncoder(32, dim=64, depth=1, heads=2), str(data / "vae"), True, widths=(16, 16), ema=0.9)
    mean: Any = objective.average.module.nothing
    shares = []
    with torch.no_grad():
        for step in range(100):
            objective.denoiser.nothing.fill_(float(step < 1))
            before = mean.clone()
            objective.end(loop.Engine("cpu"))
            shares.append(float(mean[0] / before[0]) if step > 1 else None)
    assert shares[2] == pytest.approx(3 / 12) and shares[50] == pytest.approx(51 / 60) and shares[99] == pytest.approx(0.9)


def test_what_is_kept_generates_and_the_same_seed_gives_the_same_picture(trained: Path, streams: Path) -> None:
    generator, changes = FrameGenerator.from_pretrained(trained), ChangeEncoder.from_pretrained(streams)
    frame, later = (torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(i)) for i in range(2))
    told = changes(frame, later)
    picture = generator.generate(frame, told, steps=3, seed=1)
    assert picture.shape == (2, 32, 32, 3) and 0 <= float(picture.min()) and float(picture.max()) <= 1
    again = FrameGenerator.from_pretrained(trained / "diffusion").generate(frame, told, steps=3, seed=1)
    assert torch.equal(picture, again) and not torch.equal(picture, generator.generate(frame, told, steps=3, seed=2))
    assert generator.generate(frame, None, steps=2).shape == picture.shape
    torch.testing.assert_close(generator.generate(frame.float() / 255, told, steps=3, seed=1), picture)
    with pytest.raises(BadInput, match=r"16, 16.*needs 32 × 32"):
        generator.generate(frame[:, :16, :16], told)
    with pytest.raises(BadInput, match="steps=0: must be at least 1"):
        generator.generate(frame, told, steps=0)


def test_the_decoder_of_video_prediction_is_kept_beside_its_streams(streams: Path) -> None:
    decoder, changes = FrameDecoder.from_pretrained(streams.parents[1]), ChangeEncoder.from_pretrained(streams)
    frame = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    picture = decoder.generate(frame, changes(frame, frame))
    assert picture.shape == (2, 32, 32, 3) and decoder.streams_sha256[:16] == streams.name and decoder.image_encoder is not None
    with pytest.raises(BadInput, match=r"no decoder there; needs the OUT of python -m policy\.pretrain"):
        FrameDecoder.from_pretrained(streams)
    (streams.parents[1] / "decoder" / "model.safetensors").write_bytes(b"torn" * 30)
    with pytest.raises(BadInput, match="damaged or replaced"):
        FrameDecoder.from_pretrained(streams.parents[1])


def test_the_ways_are_compared_on_held_out_clips(data: Path, streams: Path, trained: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "unet", "video_prediction", init=streams, frozen="true", **{"objective.blind": 1})
    words = [f"data={data}", f"diffusion={trained}", f"decoder={tmp_path / 'unet'}", f"streams={streams}", "pairs=4", "steps=2", "holdout=0.3"]
    words += ["max_gap=2", f"out={tmp_path / 'out'}", "device=cpu", "num_threads=1"]
    told = imagining.imagine(parse("policy.conf", "imagine", Imagining, words))
    assert list(told) == ["copy of frame t", "U-Net decoder", "diffusion", "diffusion without change", "VAE of frame t+k"]
    assert all(set(values) == {"moving_db", "all_db", "perceptual", "p_distance"} for values in told.values())
    assert json.loads((tmp_path / "out" / "imagined.json").read_text())["ways"] == told and (tmp_path / "out" / "pictures.png").exists()
    assert imagining.imagine(parse("policy.conf", "imagine", Imagining, words)) == told
    with pytest.raises(BadInput, match=r"diffusion=.*: learnt over streams"):
        imagining.imagine(parse("policy.conf", "imagine", Imagining, [*words, f"streams={run(data, tmp_path / 'other', 'video_prediction', seed=1)}"]))


def test_figures_of_the_right_picture_are_the_best_there_are() -> None:
    torch.manual_seed(0)
    streams, now, later = TwoStreamEncoder(32, dim=64, depth=1, heads=2), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        best, worst = (imagining.figures(picture, later, now, streams) for picture in (later, now))
    assert best["moving_db"] > 60 > worst["moving_db"] and best["perceptual"] == 0 and best["p_distance"] == pytest.approx(0, abs=1e-6)
    assert worst["perceptual"] > 0 and worst["p_distance"] > 0.001


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frozen": "true"}, "frozen=true: needs init=FOLDER"),
        ({"objective.widths": "[12]"}, "must be multiples of 8"),
        ({"objective.vae": "/nowhere"}, "objective.vae=/nowhere: no such folder"),
        ({"objective.ema": 1}, "objective.ema=1"),
        ({"size": 40, "patch": 8, "objective.vae": "ODD"}, "size=40: must be a multiple of 16"),
    ],
)
def test_settings_that_are_refused(data: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    if changes.get("objective.vae") == "ODD":
        from policy.diffusion.autoencoding import small_vae

        small_vae(4, (8,) * 5, 32).save_pretrained(tmp_path / "odd")
        changes = changes | {"objective.vae": tmp_path / "odd"}
    with pytest.raises(BadInput, match=said):
        run(data, tmp_path, **changes)


@pytest.mark.parametrize("objective", ["dino", "both"])
def test_frozen_streams_leave_these_objectives_nothing_to_learn(data: Path, streams: Path, tmp_path: Path, objective: str) -> None:
    with pytest.raises(BadInput, match=f"frozen=true: objective={objective} teaches streams"):
        run(data, tmp_path, objective, init=streams, frozen="true")


@pytest.mark.parametrize(
    "words", [["policy.pretrain", "objective=latent_diffusion"], ["policy.autoencoder"], ["policy.imagine", "diffusion=."], ["eval.bench", "decoders"]]
)
def test_without_diffusers_one_line_says_what_to_install(words: list[str], tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['diffusers'] = None; import runpy; sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__')"
    data = [] if words[0] == "eval.bench" else [f"data={tmp_path}"]
    done = subprocess.run([sys.executable, "-c", hidden, *words, *data], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "pip install 'whatwhere[diffusion]'" in done.stderr, done.stderr
