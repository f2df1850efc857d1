"""The comparison behind `python -m policy.imagine`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from policy.change import ChangeEncoder
from policy.channels import m_channels, p_channels, picture_tensor
from policy.diffusion.autoencoding import psnr
from policy.diffusion.generator import FrameGenerator
from policy.diffusion.imagine_settings import Settings
from policy.pretrain.clips import Clips
from policy.pretrain.curves import rows_of_pictures, write_picture
from policy.pretrain.kept_decoder import FrameDecoder
from policy.pretrain.perceptual import Perceptual
from policy.pretrain.video_prediction import moving, moving_db
from policy.storage.stored import default_streams, read_streams
from policy.streams import TwoStreamEncoder
from policy.training.device import choose_device, use_processor
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import write_json
from whatwhere.owned import claim, owned

BATCH, SHOWN = 16, 8
UNET, DIFFUSION, BLIND, COPY, VAE = "U-Net decoder", "diffusion", "diffusion without change", "copy of frame t", "VAE of frame t+k"


@torch.no_grad()
def imagine(settings: Settings) -> dict[str, dict[str, float]]:
    """Prints a line for each way and writes `out/pictures.png` and `out/imagined.json`. Raises BadInput for parts that do not belong together."""
    use_processor(settings.num_threads)
    device, folder = choose_device(settings.device), Path(settings.streams) if settings.streams is not None else default_streams()
    sha256 = read_streams(folder)["sha256"]
    changes = ChangeEncoder.from_pretrained(folder, device)
    diffusion = None if settings.diffusion is None else FrameGenerator.from_pretrained(settings.diffusion, device=device)
    decoder = None if settings.decoder is None else FrameDecoder.from_pretrained(settings.decoder, device=device)
    check_writable("out", settings.out)
    with owned(settings.out) as out:
        claim(out, {"kind": "imagined pictures"})
        now, later = _pairs(settings, changes.size, device)
        ways = _pictures(settings, now, later, changes, diffusion, decoder)
        told = {name: figures(picture, later, now, changes.streams) for name, picture in ways.items()}
        for name, values in told.items():
            print(f"{name:<26}" + " · ".join(f"{key} {value:.4g}" for key, value in values.items()), flush=True)
        shown = [now, later, *(ways[name] for name in (UNET, DIFFUSION) if name in ways)]
        write_picture(out / "pictures.png", rows_of_pictures([row[:SHOWN] for row in (*shown, (shown[-1] - later).abs())]))
        record: dict[str, Any] = {"data": settings.data, "pairs": len(now), "steps": settings.steps, "seed": settings.seed, "streams_sha256": sha256}
        write_json(out / "imagined.json", record | {"ways": told})
    return told


def _pairs(settings: Settings, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    clips = Clips(settings.data, size, holdout=settings.holdout)
    if not len(clips.held_out):
        raise BadInput(f"holdout={settings.holdout}: no clip of data={settings.data} is held out; give more, or other data with holdout=0.99")
    plan = clips.plan(settings.seed, 0, settings.pairs, 0.0, settings.max_gap, held_out=True)
    now, later = (picture_tensor(part, device) for part in clips.read(plan))
    return now, later


def _pictures(
    settings: Settings, now: Tensor, later: Tensor, changes: ChangeEncoder, diffusion: FrameGenerator | None, decoder: FrameDecoder | None
) -> dict[str, Float[Tensor, "b 3 h w"]]:
    """What each way makes of frame t; the noise of a batch is that of its first pair's number."""
    parts: dict[str, list[Tensor]] = {}
    for begin in range(0, len(now), BATCH):
        frame, then = (rearrange(x[begin : begin + BATCH], "b rgb h w -> b h w rgb") for x in (now, later))
        change = changes(frame, then)
        made = {COPY: frame}
        if decoder is not None:
            made[UNET] = decoder.generate(frame, change)
        if diffusion is not None:
            made[DIFFUSION] = diffusion.generate(frame, change, settings.steps, settings.seed + begin)
            made[BLIND] = diffusion.generate(frame, None, settings.steps, settings.seed + begin)
            again = diffusion.autoencoder.decode(diffusion.autoencoder.encode(later[begin : begin + BATCH]))
            made[VAE] = rearrange(again, "b rgb h w -> b h w rgb")
        for name, picture in made.items():
            parts.setdefault(name, []).append(picture)
    return {name: rearrange(torch.cat(pictures), "b h w rgb -> b rgb h w") for name, pictures in parts.items()}


def figures(picture: Tensor, later: Tensor, now: Tensor, streams: TwoStreamEncoder) -> dict[str, float]:
    """moving_db, all_db: on moving pixels, and on all. perceptual: distance in a fixed network of random weights. p_distance: mean of 1 − cosine of stream P's
    tokens, at patches where something moves."""
    cell = streams.size // streams.grid[0]
    where = F.max_pool2d(moving(now, later), cell).flatten(1).bool()  # (b, n)
    mine, true = (streams(m_channels(x, x), p_channels(x)).p_patches[where] for x in (picture.clamp(0, 1), later))
    return {
        "moving_db": moving_db(picture, later, now),
        "all_db": psnr(picture, later),
        "perceptual": float(Perceptual().to(now.device)(picture, later)),
        "p_distance": float((1 - F.cosine_similarity(mine, true, dim=-1)).mean()),
    }
