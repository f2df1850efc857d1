"""`python -m eval.bench pretrain`: what pre-training spends on data, and what our streams cost beside two plain timm ViTs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from eval.benches.figure import Figure
from eval.benches.settings import Settings

DATA_SHARE, STREAMS_RATE = 0.10, 0.95
PAIRS = 5  # the two sides take turns
BATCH = 32
STORED = 4 / 3  # pixels of the stored frames by those of a crop


def measure(settings: Settings) -> list[Figure]:
    """Prints and returns the figures, in this process and with the number of threads it has."""
    figures = []
    for stem, bar, note in (("patch", STREAMS_RATE, ""), ("conv", None, "the default: its convolutions are more work, on purpose")):
        rate = streams_rate(settings.size, stem)
        figures.append(Figure(f"streams by two plain timm ViTs, stem={stem}", rate, "× the rate", at_least=bar, note=note))
        print(figures[-1], flush=True)
    for name, scale in (("whole frames, as of play", (1.0, 1.0)), ("crops of 40–100 %", (0.4, 1.0))):
        share = data_share(settings.size, scale, settings.rounds, settings.seed)
        figures.append(Figure(f"data's share of a step, nothing read ahead: {name}", 100 * share, "%", at_most=100 * DATA_SHARE))
        print(figures[-1], flush=True)
    return figures


def streams_rate(size: int, stem: str) -> float:
    """Median over `PAIRS` of plain time by ours: forward and backward of a batch, at the sizes and the precision that pre-training takes by default."""
    import torch
    from timm.models.vision_transformer import VisionTransformer

    from policy.config import StreamsConfig
    from policy.streams import M_CHANNELS, P_CHANNELS, TwoStreamEncoder
    from policy.training.device import autocast

    c = StreamsConfig()
    torch.manual_seed(0)
    ours = TwoStreamEncoder(size, c.patch, c.dim, c.depth, c.heads, stem)
    sizes = {"img_size": size, "patch_size": c.patch, "num_classes": 0, "embed_dim": c.dim, "depth": c.depth, "num_heads": c.heads}
    plain = [VisionTransformer(in_chans=channels, **sizes) for channels in (M_CHANNELS, P_CHANNELS)]  # type: ignore[arg-type]
    m, p = torch.rand(BATCH, M_CHANNELS, size, size), torch.rand(BATCH, P_CHANNELS, size, size)

    def step_ours() -> None:
        tokens = ours(m, p)
        sum(x.float().mean() for x in (tokens.m_cls, tokens.m_patches, tokens.p_cls, tokens.p_patches)).backward()  # type: ignore[union-attr]

    def step_plain() -> None:
        sum(vit.forward_features(x).float().mean() for vit, x in zip(plain, (m, p), strict=True)).backward()  # type: ignore[union-attr]

    with autocast(torch.device("cpu"), "auto"):
        for warm_up in (step_ours, step_plain):
            warm_up()
        return median(_seconds(step_plain) / _seconds(step_ours) for _ in range(PAIRS))


def data_share(size: int, scale: tuple[float, float], rounds: int, seed: int) -> float:
    """Median over `rounds` steps of default pre-training: time to sample, read, cut and convert a batch, by the time of the whole step."""
    import torch

    from policy.channels import picture_tensor
    from policy.pretrain import loop
    from policy.pretrain.clips import Clips
    from policy.pretrain.settings import Settings as Pretraining
    from whatwhere.settings import parse

    with tempfile.TemporaryDirectory() as folder:
        stored = size if scale == (1.0, 1.0) else round(STORED * size)
        frames = np.random.default_rng(seed).integers(0, 256, (64, 16, stored, stored, 3), dtype=np.uint8)
        np.save(Path(folder) / "frames.npy", frames)
        settings = parse("policy.conf", "pretrain", Pretraining, [f"data={folder}", f"batch={BATCH}", "micro_batches=1", "device=cpu"])
        clips = Clips(folder, size, scale)
        torch.manual_seed(0)
        objective, engine = loop.build(settings, size), loop.Engine("cpu")
        optimizer = torch.optim.AdamW(objective.parameters(), lr=settings.lr)
        shares = []
        for step in range(rounds + 1):
            begin = time.perf_counter()
            now, later = (picture_tensor(part, engine.device) for part in clips.pairs(seed, step, BATCH, settings.static, settings.max_gap))
            data = time.perf_counter() - begin
            loop.train_step(settings, engine, objective, optimizer, step, now, later)
            shares.append(data / (time.perf_counter() - begin))
    return median(shares[1:])


def _seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
