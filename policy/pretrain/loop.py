"""The pre-training loop: one pure function of (settings, step) a step, saved every so often, streams exported at the end."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from policy.checkpoint import save_streams
from policy.config import PolicyConfig, StreamsConfig
from policy.device import autocast, choose_device
from policy.pretrain.clips import Clips
from policy.pretrain.video_prediction import VideoPrediction
from policy.resume import load_state, save_state
from policy.streams import TwoStreamEncoder
from whatwhere.files import atomic, claim, owned

if TYPE_CHECKING:
    from policy.pretrain.__main__ import Settings


def pretrain(settings: Settings) -> Path:
    """Trains and writes `out/streams` (what spec A20 keeps), `out/pictures.png` and TensorBoard curves. Returns the folder of the streams."""
    out, clips = Path(settings.out), Clips(settings.data)
    if settings.num_threads:
        torch.set_num_threads(settings.num_threads)
    with owned(out):
        claim(out, {key: value for key, value in dataclasses.asdict(settings).items() if key not in ("out", "num_threads", "save_every", "device")})
        device = choose_device(settings.device)
        torch.manual_seed(settings.seed)
        streams = TwoStreamEncoder(size=clips.size, dim=settings.dim, depth=settings.depth, heads=settings.heads)
        model = VideoPrediction(streams, hidden=settings.hidden).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=0.05, betas=(0.9, 0.95))
        begin, _ = load_state(out / "state.safetensors", {"model": model}, optimizer)
        curves = SummaryWriter(str(out / "tensorboard"), purge_step=begin)
        clock, figures = time.monotonic(), {}
        for step in range(begin, settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * schedule(step, settings.steps)
            torch.manual_seed(settings.seed * 1_000_003 + step)
            now, later = (_tensor(frames, device) for frames in clips.pairs(settings.seed, step, settings.batch, settings.static, settings.max_gap))
            with autocast(device, settings.precision):
                loss, new, picture = model(now, later, torch.Generator(device).manual_seed(step))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            figures = {key: value if not figures else 0.95 * figures[key] + 0.05 * value for key, value in new.items()}
            if (step + 1) % 20 == 0 or step + 1 == settings.steps:
                rate = (step + 1 - begin) / (time.monotonic() - clock)
                for key, value in new.items():
                    curves.add_scalar(key, value, step + 1)
                print(
                    f"\rstep {step + 1}/{settings.steps} "
                    + " ".join(f"{k} {v:.4g}" for k, v in figures.items())
                    + f" · {rate * settings.batch:.0f} samples/s · {(settings.steps - step - 1) / rate / 60:.1f} min left ",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
            if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
                save_state(out / "state.safetensors", step + 1, {"model": model}, optimizer)
                _pictures(out / "pictures.png", now, later, picture)
        print(file=sys.stderr)
        config = PolicyConfig(size=clips.size, streams=StreamsConfig(dim=settings.dim, depth=settings.depth, heads=settings.heads))
        digest = save_streams(model.streams, out, config, {"settings": dataclasses.asdict(settings), "figures": figures})
        print(out / "streams" / digest[:16])
        return out / "streams" / digest[:16]


def schedule(step: int, steps: int, warmup: float = 0.05) -> float:
    """Linear warm-up, then half a cosine to 1 % of the rate."""
    first = max(1, int(warmup * steps))
    if step < first:
        return (step + 1) / first
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - first) / max(1, steps - first)))


def _tensor(frames: np.ndarray, device: torch.device) -> Float[Tensor, "b 3 h w"]:
    return torch.from_numpy(np.ascontiguousarray(frames)).to(device).permute(0, 3, 1, 2).float() / 255


def _pictures(path: Path, now: Tensor, later: Tensor, picture: Tensor, count: int = 8) -> None:
    """Rows: frame t, frame t+k, prediction, absolute error."""
    rows = (now[:count], later[:count], picture[:count].detach().clamp(0, 1), (picture[:count].detach() - later[:count]).abs().clamp(0, 1))
    grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)  # (3, 4h, count·w)
    with atomic(path) as temporary:
        iio.imwrite(temporary, (grid.permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8), extension=".png")
