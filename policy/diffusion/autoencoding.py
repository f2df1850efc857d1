"""Training of a small VAE: the loop of `python -m policy.autoencoder`, of the same parts as that of pre-training."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from policy.channels import picture_tensor
from policy.diffusion.settings import GROUPS
from policy.diffusion.vae import Autoencoder, load_autoencoder, save_autoencoder
from policy.diffusion.vae_folder import BESIDE, find_vae
from policy.pretrain.batches import Batches
from policy.pretrain.clips import Clips, Plan
from policy.pretrain.curves import Curves, pictures
from policy.pretrain.footage import DEFAULT_SIZE, Play, digest, open_footage
from policy.training.device import autocast, choose_device, use_processor
from policy.training.resume import load_state, save_state
from policy.training.schedule import schedule
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput, Failed
from whatwhere.files import sha256
from whatwhere.owned import claim, owned

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    from policy.diffusion.settings import Settings

BEGUN = ("init", "decoder_only")
PLACES = ("out", "cache", "device", "num_threads", "loaders", "save_every", "strict")  # no influence on what is learnt
STATE, REPORT_EVERY, LOOK_EVERY = "state.safetensors", 20, 200
LOOKED = 64  # held-out pictures
QUIET = 0.02  # deviation of the noise in untrained latents


def autoencode(settings: Settings) -> Path:
    """Trains, and writes `out/vae`, `out/figures.jsonl`, TensorBoard curves and `out/pictures.png`. Returns the folder. Raises BadInput, Failed."""
    out, device = Path(settings.out), choose_device(settings.device)
    use_processor(settings.num_threads)
    check_writable("out", out)
    with owned(out):
        footage = open_footage(settings)
        size = settings.size or (None if isinstance(footage, Play) else DEFAULT_SIZE)
        clips = Clips(footage, size, (settings.crop[0], settings.crop[1]), settings.holdout)
        if clips.size % 2 ** (len(settings.widths) - 1):
            raise BadInput(f"size={clips.size}: must be a multiple of {2 ** (len(settings.widths) - 1)}, by which {len(settings.widths)} widths divide it")
        learnt = {key: value for key, value in dataclasses.asdict(settings).items() if key not in (*PLACES, *BEGUN)}
        claim(out, {"kind": "autoencoder"} | learnt | _begun(settings) | {"footage": digest(footage)})
        torch.manual_seed(settings.seed)
        begun = None if settings.init is None else load_autoencoder(settings.init, "init").model
        model = (begun or small_vae(settings.channels, settings.widths, clips.size)).to(device)  # type: ignore[arg-type]
        _train(settings, clips, model, device)
        if not settings.decoder_only:
            model.register_to_config(scaling_factor=round(1 / _spread(model, clips, settings, device), 4), shift_factor=None)
        print(folder := save_autoencoder(model.half(), out / BESIDE))
        return folder


def _begun(settings: Settings) -> dict[str, Any]:
    """What settings.json says of where a run begins: nothing of one that begins anew, as earlier versions did."""
    return {} if settings.init is None else {"init": sha256(find_vae(settings.init, "init")[1]), "decoder_only": settings.decoder_only}


def _learns(model: AutoencoderKL, decoder_only: bool) -> None:
    model.requires_grad_(True).train()
    if decoder_only:
        for part in (model.encoder, model.quant_conv):
            if part is not None:
                part.requires_grad_(False)


def small_vae(channels: int, widths: tuple[int, ...], size: int) -> AutoencoderKL:
    """An `AutoencoderKL` with one block a scale and no attention, so that any size may be encoded. Random weights.

    Latents begin with little noise (a deviation of `QUIET`): with the usual deviation of 1 the decoder sees hardly anything but noise for the first
    hundreds of steps.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),  # type: ignore[arg-type]
        up_block_types=("UpDecoderBlock2D",) * len(widths),  # type: ignore[arg-type]
        block_out_channels=tuple(widths),  # type: ignore[arg-type]
        latent_channels=channels,
        norm_num_groups=GROUPS,
        sample_size=size,
        mid_block_add_attention=False,
    )
    with torch.no_grad():
        model.quant_conv.weight[channels:] *= 0.1  # type: ignore[union-attr, operator]
        model.quant_conv.bias[channels:] = 2 * math.log(QUIET)  # type: ignore[union-attr, index]
    return model


def vae_loss(model: nn.Module, shown: Float[Tensor, "b 3 h w"], kl: float, generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, "b 3 h w"]]:
    """Mean squared error of pictures in [-1, 1], and `kl` times the distance of their latents from a normal distribution (summed over a picture's)."""
    latent = model.encode(shown).latent_dist  # type: ignore[operator]
    again = model.decode(latent.sample(generator)).sample.float()  # type: ignore[operator]
    return F.mse_loss(again, shown) + kl * latent.kl().mean(), again


def _train(settings: Settings, clips: Clips, model: AutoencoderKL, device: torch.device) -> None:
    out = Path(settings.out)
    _learns(model, settings.decoder_only)
    optimizer = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad], lr=settings.lr, weight_decay=settings.weight_decay, betas=(0.9, 0.95)
    )
    begin, _ = load_state(out / STATE, {"model": model}, optimizer)
    curves = Curves(out, begin, settings.steps, settings.batch)
    batches = Batches(clips.read, lambda step: _plan(settings, clips, step), range(begin, settings.steps), settings.loaders)
    for step, (frames, _) in enumerate(batches, begin):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(step, settings.steps, settings.warmup)
        shown = 2 * picture_tensor(frames, device) - 1
        optimizer.zero_grad(set_to_none=True)
        with autocast(device, settings.precision):
            loss, again = vae_loss(model, shown, settings.kl, torch.Generator(device).manual_seed(settings.seed * 1_000_003 + step))
        if not loss.isfinite():
            raise Failed(f"out={out}: stopped in step {step + 1}: the loss is not finite; try a smaller lr or precision=fp32")
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done, last = step + 1, step + 1 == settings.steps
        curves.follow(figures := {"loss": loss.item(), "db": psnr(again / 2, shown / 2)})
        if done % REPORT_EVERY == 0 or last:
            curves.report(done, figures, batches.waited)
        if len(clips.held_out) and (done % LOOK_EVERY == 0 or last):
            seen = _held_out(settings, clips, device)
            again = Autoencoder(model).decode(Autoencoder(model).encode(seen))
            _learns(model, settings.decoder_only)
            curves.looked(done, "held_out", {"reconstruction_db": psnr(again, seen)})
            pictures(out / "pictures_held_out.png", seen, seen, again)
        if done % settings.save_every == 0 or last:
            save_state(out / STATE, done, {"model": model}, optimizer)
    curves.close()


def psnr(picture: Tensor, true: Tensor) -> float:
    """dB over all pixels, for values in a range of 1."""
    return -10 * math.log10(max(1e-12, float((picture.detach().float() - true.float()).square().mean())))


def _plan(settings: Settings, clips: Clips, step: int, held_out: bool = False) -> Plan:
    return clips.plan(settings.seed, step, LOOKED if held_out else settings.batch, 1.0, 1, held_out)


def _held_out(settings: Settings, clips: Clips, device: torch.device) -> Tensor:
    return picture_tensor(clips.read(_plan(settings, clips, 0, held_out=True))[0], device)


def _spread(model: AutoencoderKL, clips: Clips, settings: Settings, device: torch.device) -> float:
    """Deviation of the mean latents of some pictures that it learnt from."""
    shown = picture_tensor(clips.read(clips.plan(settings.seed, 0, LOOKED, 1.0, 1))[0], device)
    with torch.no_grad():
        return float(model.eval().encode(2 * shown - 1).latent_dist.mean.std())  # type: ignore[union-attr]
