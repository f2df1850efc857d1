"""The tie between what and where, in small: two squares of two colours, and a sentence that names one. Where are words to meet the picture?"""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from policy.channels import pair_channels
from policy.config import PolicyConfig, StreamsConfig
from policy.language.vocabulary import vocabulary_of
from policy.model import build, build_streams
from policy.shapes import StreamTokens

SIZE, STEPS, BATCH, SCENES, HELD_OUT = 48, 900, 32, 512, 96
COLOURS = {"red": (0.9, 0.2, 0.2), "blue": (0.2, 0.3, 0.9)}
SAID = tuple(f"pick up the {colour} cube" for colour in COLOURS)
SIZES = {"cameras": ("one",), "size": SIZE, "chunk": 1, "action_dim": 2, "proprio_dim": 3, "keypoints": 8, "head_parameters": 150_000}
STREAMS = StreamsConfig(dim=64, depth=1, heads=2)


def scenes(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Frames (n, 1, 2, h, w, 3) in [0, 1] of the squares on grey noise, which is named (n,), and the named one's centre x, y in [-1, 1] (n, 2)."""
    generator = torch.Generator().manual_seed(seed)
    frames = 0.3 + 0.02 * torch.randn(count, 1, 2, SIZE, SIZE, 3, generator=generator)
    centres = torch.empty(count, 2, 2)
    for i in range(count):
        cells = torch.randperm(9, generator=generator)[:2]
        centres[i] = torch.stack([cells % 3, cells // 3], 1) * 16 + torch.randint(5, 12, (2, 2), generator=generator)
        for (x, y), colour in zip(centres[i].int().tolist(), COLOURS.values(), strict=True):
            frames[i, 0, :, y - 3 : y + 3, x - 3 : x + 3] = torch.tensor(colour)
    named = torch.randint(0, 2, (count,), generator=generator)
    return frames.clamp(0, 1), named, centres[torch.arange(count), named] / SIZE * 2 - 1


@functools.cache
def seen() -> tuple[tuple[StreamTokens, Tensor, Tensor], ...]:
    """What random streams see of scenes to learn from and of others."""
    torch.manual_seed(0)
    policy = build(PolicyConfig(streams=STREAMS, **SIZES), build_streams(PolicyConfig(streams=STREAMS, **SIZES)))
    policy.streams.requires_grad_(False)  # type: ignore[union-attr]
    drawn = scenes(SCENES, 1), scenes(HELD_OUT, 2)
    return tuple((policy.see(pair_channels(frames)), named, at) for frames, named, at in drawn)


def error_after_training(join: str, language: str = "recurrent", steps: int = STEPS) -> float:
    """Mean distance from the named square in new scenes, in pixels."""
    torch.manual_seed(0)
    words = {"task_dim": 32, "vocabulary": vocabulary_of(SAID)} if language != "bag_of_words" else {}
    policy = build(PolicyConfig(streams=STREAMS, join=join, language=language, **SIZES, **words))
    codes = torch.stack([policy.language.code(text) for text in SAID])
    (tokens, named, at), (new, new_named, new_at) = seen()
    optimiser = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(3)
    for _ in range(steps):
        rows = torch.randperm(SCENES, generator=generator)[:BATCH]
        features = policy.read(tokens.map(lambda x, rows=rows: x[rows]), torch.zeros(BATCH, 3), codes[named[rows]]).features
        loss = policy.head.loss(features, at[rows, None], torch.ones(BATCH, 1, dtype=torch.bool))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        found = policy.eval().decide(policy.recall(new), torch.zeros(HELD_OUT, 3), codes[new_named]).actions[:, 0]
    return ((found - new_at).norm(dim=-1).mean() * SIZE / 2).item()


@pytest.mark.slow
def test_words_that_meet_the_grid_say_where_to_look() -> None:
    errors = {join: error_after_training(join) for join in ("beside", "film", "points")}
    assert max(errors["film"], errors["points"]) < 3, errors  # pixels; a square is 6 wide
    assert errors["beside"] > 9, errors
