"""The claim of spec A in small: over the same frozen random streams, a head on fused patches learns where a square is, one on averages does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policy.channels import pair_channels
from policy.config import PolicyConfig, StreamsConfig
from policy.heads.decoder import mean_over_steps
from policy.model import build, build_streams
from policy.streams import TwoStreamEncoder

SIZE, STEPS, BATCH = 48, 100, 32


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """A red square on grey noise, and its centre x, y in [-1, 1]: frames (n, 1, 2, h, w, 3) in [0, 1], (n, 2)."""
    generator = torch.Generator().manual_seed(seed)
    frames = 0.3 + 0.02 * torch.randn(count, 1, 2, SIZE, SIZE, 3, generator=generator)
    centres = torch.randint(6, SIZE - 6, (count, 2), generator=generator)
    for frame, (x, y) in zip(frames, centres.tolist(), strict=True):
        frame[0, :, y - 3 : y + 3, x - 3 : x + 3] = torch.tensor([0.9, 0.2, 0.2])
    return frames.clamp(0, 1), centres / SIZE * 2 - 1


def error_after_training(encoder: str, streams: TwoStreamEncoder, config: PolicyConfig) -> float:
    """Mean absolute error of x and y on new pictures."""
    torch.manual_seed(0)
    policy = build(config, streams)
    seen, centres = [policy.see(pair_channels(frames)) for frames, _ in (pictures(192, 1), pictures(96, 2))], [pictures(192, 1)[1], pictures(96, 2)[1]]
    optimiser = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
    generator = torch.Generator().manual_seed(3)
    for _ in range(STEPS):
        rows = torch.randperm(192, generator=generator)[:BATCH]
        reading = policy.read(seen[0].map(lambda x, rows=rows: x[rows]), torch.zeros(BATCH, 3), torch.zeros(BATCH, 64))
        loss = policy.head.loss(reading.features, centres[0][rows, None], torch.ones(BATCH, 1, dtype=torch.bool))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        found = policy.eval().decide(policy.recall(seen[1]), torch.zeros(96, 3), torch.zeros(96, 64)).actions[:, 0]
    return (found - centres[1]).abs().mean().item()


def test_fused_patches_keep_where_and_averages_lose_it() -> None:
    torch.manual_seed(0)
    sizes = {"cameras": ("one",), "size": SIZE, "chunk": 1, "action_dim": 2, "proprio_dim": 3, "keypoints": 8, "head_parameters": 150_000}
    configs = {name: PolicyConfig(encoder=name, streams=StreamsConfig(dim=64, depth=1, heads=2), **sizes) for name in ("pixelwise", "avg_late")}
    streams = build_streams(configs["pixelwise"])
    errors = {name: error_after_training(name, streams, config) for name, config in configs.items()}
    assert errors["pixelwise"] < 0.1  # 2.4 px
    assert errors["avg_late"] > 3 * errors["pixelwise"]


def test_earlier_actions_of_a_chunk_count_more_and_those_past_the_end_nothing() -> None:
    mask = torch.tensor([[True, True, False]])
    assert [mean_over_steps(error[None], mask).item() for error in torch.eye(3)] == pytest.approx([2 / 3, 1 / 3, 0])
    assert mean_over_steps(torch.ones(1, 3), torch.zeros_like(mask)) == 0
