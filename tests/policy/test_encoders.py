"""Walks ENCODERS: what each declares must be what it gives."""

from __future__ import annotations

import pytest
import torch

from policy.encoders import ENCODERS, FROM_SCRATCH
from policy.model import build
from policy.shapes import Channels, StreamTokens
from tests.policy.small import config

SPATIAL = ("pixelwise", "all_patches_late", "cnn_keypoints")


def seen(uses_streams: bool, b: int = 3) -> StreamTokens | Channels:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    if uses_streams:
        return StreamTokens(draw(b, 64), draw(b, 16, 64), draw(b, 64), draw(b, 16, 64))
    return Channels(draw(b, 4, 32, 32), draw(b, 5, 32, 32))


@pytest.mark.parametrize("name", ENCODERS)
def test_declared_sizes_are_true(name: str) -> None:
    encoder = build(config(name)).encoder
    assert encoder.uses_streams == (name not in FROM_SCRATCH)
    tokens = encoder(seen(encoder.uses_streams))
    assert tokens.values.shape == (3, encoder.num_tokens, encoder.dim)
    assert tokens.pooled.shape[1] == encoder.num_pooled
    assert tokens.placed.shape[1] == len(tokens.positions) == encoder.num_grids * encoder.grid[0] * encoder.grid[1]
    assert bool(encoder.num_grids) == (name in SPATIAL)


@pytest.mark.parametrize("name", [name for name in ENCODERS if name not in FROM_SCRATCH])
def test_only_spatial_encoders_know_where(name: str) -> None:
    """Patches shuffled, the same in both streams: an average cannot tell, a grid must."""
    encoder = build(config(name)).encoder
    tokens = seen(True)
    assert isinstance(tokens, StreamTokens)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    shuffled = StreamTokens(tokens.m_cls, tokens.m_patches[:, order], tokens.p_cls, tokens.p_patches[:, order])
    same = torch.allclose(encoder(tokens).values, encoder(shuffled).values, atol=1e-5)
    assert same == (name not in SPATIAL)


def test_sizes_of_spec_a12() -> None:
    sizes = {name: build(config(name)).encoder for name in ENCODERS}
    numbers = {name: encoder.num_tokens * encoder.dim for name, encoder in sizes.items()}
    d, n = 64, 16
    assert numbers["avg_late"] == 4 * d
    assert numbers["avg_early"] == d
    assert numbers["cls_alone"] == 2 * d
    assert numbers["pixelwise"] == (n + 1) * d
    assert numbers["all_patches_late"] == 2 * (n + 1) * d


@pytest.mark.parametrize("name", ["pixelwise", "all_patches_late", "avg_late", "avg_early"])
def test_both_streams_reach_the_head(name: str) -> None:
    encoder = build(config(name)).encoder
    tokens = seen(True)
    assert isinstance(tokens, StreamTokens)
    parts = {key: value.clone().requires_grad_() for key, value in vars(tokens).items()}
    encoder(StreamTokens(**parts)).values.square().sum().backward()
    for key, value in parts.items():
        assert value.grad is not None, key
        assert (value.grad.abs().sum(dim=-1) > 0).all(), key


def test_cls_alone_never_sees_a_patch() -> None:
    encoder, tokens = build(config("cls_alone")).encoder, seen(True)
    assert isinstance(tokens, StreamTokens)
    other = StreamTokens(tokens.m_cls, -tokens.m_patches, tokens.p_cls, 2 * tokens.p_patches)
    assert torch.equal(encoder(tokens).values, encoder(other).values)
    assert torch.equal(encoder(tokens).values[:, 0], torch.cat([tokens.m_cls, tokens.p_cls], dim=-1))
