"""Autoencoders: folders of diffusers, their own training, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from policy.diffusion import autoencoding
from policy.diffusion.autoencoding import small_vae, vae_loss
from policy.diffusion.settings import Settings
from policy.diffusion.vae import load_autoencoder
from tests.policy.pretrain.small_play import moving_squares, tiny_vae
from whatwhere.errors import BadInput
from whatwhere.files import read_json
from whatwhere.settings import parse

TINY = {"steps": 6, "batch": 4, "channels": 4, "widths": "[8,16]", "save_every": 2, "holdout": 0.3, "device": "cpu", "precision": "fp32", "num_threads": 1}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moving_squares(tmp_path_factory.mktemp("play"))


def run(footage: Path, folder: Path, **changes: Any) -> Path:
    words = [f"{key}={value}" for key, value in (TINY | {"data": footage, "out": folder} | changes).items()]
    return autoencoding.autoencode(parse("policy.conf", "autoencoder", Settings, words))


def test_a_folder_that_diffusers_wrote_is_what_diffusers_reads(tmp_path: Path) -> None:
    """Latents and pictures are those of `AutoencoderKL.from_pretrained`, with its scale and shift, attention and several blocks a scale included."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    torch.manual_seed(0)
    kinds: dict[str, Any] = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2, "layers_per_block": 2}
    AutoencoderKL(**kinds, block_out_channels=(8, 16), norm_num_groups=8, scaling_factor=0.5, shift_factor=0.25).save_pretrained(tmp_path)  # type: ignore[arg-type]
    theirs: Any = AutoencoderKL.from_pretrained(tmp_path, local_files_only=True)
    ours, picture = load_autoencoder(tmp_path), torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        latent = theirs.encode(2 * picture - 1).latent_dist.mean
        assert torch.equal(ours.encode(picture), (latent - 0.25) * 0.5) and ours.channels == 4 and ours.shrinks == 2
        torch.testing.assert_close(ours.decode(ours.encode(picture)), ((theirs.decode(latent).sample + 1) / 2).clamp(0, 1))
    assert not any(weights.requires_grad for weights in ours.parameters()) and not ours.train().training


def test_half_precision_files_are_read_in_full(tmp_path: Path) -> None:
    folder = tiny_vae(tmp_path)
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.fp16.safetensors")
    assert load_autoencoder(folder).encode(torch.rand(1, 3, 8, 8)).dtype == torch.float32


def _without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _of_another_kind(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))


def _no_object(folder: Path) -> None:
    (folder / "config.json").write_text("[1]")


def _pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")


def _torn(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def _a_tensor_less(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors.pop("decoder.conv_out.bias")
    save_file(tensors, folder / WEIGHTS)


def _of_other_sizes(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"block_out_channels": [8, 24]}))


def _senseless(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"norm_num_groups": 3}))


def _whole_model(folder: Path) -> None:
    shutil.copytree(folder, folder / "vae")
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_without_config, r"no config\.json in it; needs the folder of a diffusers AutoencoderKL"),
        (_of_another_kind, r"describes a UNet2DModel; needs an AutoencoderKL"),
        (_no_object, r"describes no model of diffusers"),
        (_pickled, r"no diffusion_pytorch_model\.safetensors in it; other files of weights are not read"),
        (_torn, r"diffusion_pytorch_model\.safetensors"),
        (_a_tensor_less, r"not weights of what config\.json describes: no decoder\.conv_out\.bias"),
        (_of_other_sizes, r"not weights of what config\.json describes"),
        (_senseless, r"config\.json describes no AutoencoderKL"),
    ],
)
def test_folders_that_are_refused(tmp_path: Path, damage: Any, said: str) -> None:
    folder = tiny_vae(tmp_path)
    damage(folder)
    with pytest.raises(BadInput, match=said) as refused:
        load_autoencoder(folder)
    assert "\n" not in str(refused.value) and str(refused.value).startswith("objective.vae=")


def test_the_out_of_the_run_that_trained_it_will_do(tmp_path: Path) -> None:
    """As docs/latent_diffusion.md writes it."""
    folder = tiny_vae(tmp_path)
    _whole_model(folder)
    assert load_autoencoder(folder).channels == load_autoencoder(folder / "vae").channels


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no such folder; make one with python -m policy\.autoencoder"):
        load_autoencoder(tmp_path / "nowhere")


def test_the_loss_is_the_one_reckoned_by_hand() -> None:
    torch.manual_seed(0)
    model: Any = small_vae(4, (8, 16), 16)
    shown = torch.rand(2, 3, 16, 16) * 2 - 1
    loss, again = vae_loss(model, shown, 0.1, torch.Generator().manual_seed(3))
    with torch.no_grad():
        mean, log = model.encode(shown).latent_dist.parameters.chunk(2, dim=1)
        log = log.clamp(-30, 20)
        from diffusers.utils.torch_utils import randn_tensor

        z = mean + torch.exp(log / 2) * randn_tensor(mean.shape, generator=torch.Generator().manual_seed(3))
        torch.testing.assert_close(again, model.decode(z).sample)
        kl = 0.5 * (mean**2 + log.exp() - 1 - log).sum((1, 2, 3)).mean()
        torch.testing.assert_close(loss, (again - shown).square().mean() + 0.1 * kl)


def test_untrained_latents_have_little_noise() -> None:
    torch.manual_seed(0)
    latent = small_vae(4, (8, 16), 16).encode(torch.rand(2, 3, 16, 16) * 2 - 1).latent_dist  # type: ignore[union-attr]
    assert latent.std.max() < 0.05 < latent.mean.std()


def test_a_decoder_alone_learns_on_and_latents_keep_their_meaning(data: Path, tmp_path: Path) -> None:
    """Other pictures than it began with: whole ones instead of crops."""
    begun = run(data, tmp_path / "begun", size=16, crop="[0.25,0.25]")
    again = run(data, tmp_path / "again", init=begun.parent, decoder_only="true", seed=1)
    old, new = load_autoencoder(begun), load_autoencoder(again)
    pictures = torch.rand(2, 3, 32, 32)
    assert torch.equal(old.encode(pictures), new.encode(pictures))
    assert not torch.equal(old.decode(old.encode(pictures)), new.decode(old.encode(pictures)))
    whole = load_autoencoder(run(data, tmp_path / "whole", init=begun, seed=1))
    assert not torch.equal(old.encode(pictures), whole.encode(pictures)), "without decoder_only all of it learns"
    assert {"init", "decoder_only"} <= set(read_json(tmp_path / "again" / "settings.json")) and "init" not in read_json(tmp_path / "begun" / "settings.json")


def test_the_shipped_one_is_faithful_to_whole_pictures() -> None:
    shown = torch.full((1, 3, 96, 96), 0.95)
    shown[:, :, 30:46, 40:56] = torch.tensor([0.8, 0.1, 0.1])[:, None, None]
    vae = load_autoencoder(None)
    latent = vae.encode(shown)
    assert latent.shape == (1, 8, 24, 24) and 0.5 < latent.std() < 2
    assert autoencoding.psnr(vae.decode(latent), shown) > 28


def test_a_training_that_stopped_goes_on_to_the_same_bits(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, loss, done = run(data, tmp_path / "whole"), autoencoding.vae_loss, []

    def stops(*arguments: Any) -> Any:
        if len(done) in (3, 6):
            done.append("stop")
            raise KeyboardInterrupt
        done.append("step")
        return loss(*arguments)

    monkeypatch.setattr(autoencoding, "vae_loss", stops)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "again")
    again = run(data, tmp_path / "again")
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {path.name: path.read_bytes() for path in whole.iterdir()}
    assert (tmp_path / "again" / "figures.jsonl").read_text() == (tmp_path / "whole" / "figures.jsonl").read_text()
    latent = load_autoencoder(whole).encode(torch.rand(8, 3, 32, 32))
    assert 0.1 < float(latent.std()) < 10, "scaled to about unit variance"
    with pytest.raises(BadInput, match="other settings"):
        run(data, tmp_path / "whole", lr=0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"widths": "[8,12]"}, "must be multiples of 8"),
        ({"size": 33}, "must be a multiple of 2"),
        ({"crop": "[0.9,0.5]"}, "crop="),
        ({"data": "/nowhere"}, "data=/nowhere: no such folder"),
        ({"data": __file__}, "is a file; give the folder that it lies in"),
        ({"holdout": 1}, "holdout=1"),
        ({"decoder_only": "true"}, "decoder_only=true: needs init="),
        ({"init": "/nowhere"}, "init=/nowhere: no such folder"),
        ({"init": "checkpoints/streams/3394c63da125f6ac/vae"}, r"has channels=8, but channels=4 is asked for; give channels=8"),
    ],
)
def test_settings_that_are_refused(data: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        run(data, tmp_path, **change)
