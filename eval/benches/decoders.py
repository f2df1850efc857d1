"""`python -m eval.bench decoders`: what the two ways to a picture of frame t+k cost, over the same frozen streams: U-Net decoder and latent diffusion.

For each: weights in all, those that learn and those that a gradient reaches; memory of a training step, as what is kept for the backward pass and 16 bytes
for each weight that learns; processor time of a training step of a pair and of generating a picture, on one thread. The weights are random.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from eval.benches.figure import Figure
from eval.benches.kept_bytes import WEIGHT, kept_bytes
from eval.benches.settings import Settings

WAYS = ("video_prediction", "latent_diffusion")
BATCH, STEPS = 8, 50


def measure(settings: Settings) -> list[Figure]:
    """Each way in a process of its own, on one thread. Raises BadInput where diffusers is not installed."""
    from policy.diffusion.needs import need_diffusers

    need_diffusers("decoders")
    figures = []
    for way in WAYS:
        command = [sys.executable, "-m", "eval.benches.decoders", way, str(settings.size), str(settings.rounds)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        for name, (value, unit) in told.items():
            figures.append(Figure(f"{way}: {name}", value, unit))
            print(figures[-1], flush=True)
    return figures


def costs(way: str, size: int, rounds: int) -> dict[str, tuple[float, str]]:
    import torch

    from policy.diffusion.autoencoding import small_vae
    from policy.diffusion.vae import Autoencoder
    from policy.pretrain.video_prediction import VideoPrediction
    from policy.streams import TwoStreamEncoder

    torch.set_num_threads(1)
    torch.manual_seed(0)
    streams = TwoStreamEncoder(size)
    now, later = torch.rand(2, BATCH, 3, size, size)
    objective: Any
    generate: Callable[[], object]
    if way == "video_prediction":
        objective = VideoPrediction(streams, blind=1.0)
        nothing = torch.zeros(BATCH, streams.num_patches, dtype=torch.bool)

        def generate() -> object:
            change = objective.fuse(_tokens(streams, now[:1], later[:1]), nothing[:1], nothing[:1, 0])
            return objective.decode(change, now[:1])
    else:
        from policy.pretrain.latent_diffusion import LatentDiffusion

        vae = Autoencoder(small_vae(16, (16, 32, 64, 64), size))
        objective = LatentDiffusion(streams, vae, fused_patches=True)
        hidden = torch.zeros(1, streams.num_patches, dtype=torch.bool)

        def generate() -> object:
            context = objective.denoiser.context(objective.change(now[:1], later[:1], hidden))
            return vae.decode(objective.denoiser.generate(vae.encode(now[:1]), context, STEPS, 0))

    objective.freeze()
    for weights in objective.parameters():
        if weights.requires_grad and not weights.any():  # layers that begin at zero let no gradient through in the first step
            torch.nn.init.normal_(weights, std=0.02)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        objective(now, later, generator)[0].backward()

    kept = kept_bytes(step)
    trained = [weights for weights in objective.parameters() if weights.requires_grad]
    count = sum(weights.numel() for weights in trained)
    reached = sum(weights.numel() for weights in trained if weights.grad is not None and bool(weights.grad.any()))
    objective.eval()
    with torch.no_grad():
        drawn = _seconds(generate, rounds)
    objective.train()
    return {
        "weights, streams and all": (sum(weights.numel() for weights in objective.parameters()), ""),
        "weights that learn": (count, ""),
        "of them reached by a gradient in one step": (reached, ""),
        "memory of a step, a pair": (kept / BATCH / 2**20, "MiB"),
        "memory of weights, gradients, optimiser": (WEIGHT * count / 2**20, "MiB"),
        "a training step, a pair": (1000 * _seconds(step, rounds) / BATCH, "ms"),
        "a picture" + (f" in {STEPS} steps" if way == "latent_diffusion" else ""): (1000 * drawn, "ms"),
    }


def _tokens(streams: Any, now: Any, later: Any) -> Any:
    from policy.channels import m_channels, p_channels

    return streams(m_channels(now, later), p_channels(now))


def _seconds(work: Callable[[], object], rounds: int) -> float:
    """Median processor time."""
    work()
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return median(times)


if __name__ == "__main__":
    print(json.dumps(costs(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
