"""The change between two frames as a public call, and the head that tells the actions behind it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from policy.change import ChangeEncoder
from policy.config import PolicyConfig, StreamsConfig
from policy.fusion.pixelwise import PixelwiseFusion
from policy.heads.change_to_actions import InverseDynamics, masked_l1
from policy.inverse_dynamics import Settings
from policy.shapes import Tokens
from policy.storage.checkpoint import save_streams
from policy.streams import TwoStreamEncoder
from policy.training.action_error import measure
from whatwhere.errors import BadInput
from whatwhere.settings import parse

SIZE = 32


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    streams, root = TwoStreamEncoder(SIZE, dim=64, depth=1, heads=2), tmp_path_factory.mktemp("streams")
    config = PolicyConfig(size=SIZE, streams=StreamsConfig(dim=64, depth=1, heads=2))
    name = save_streams(streams, root, config, fusion=PixelwiseFusion(64, streams.grid))
    return root / "streams" / name[:16]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright square on grey that each action moves by 2 pixels times its first two numbers."""
    folder, rng = tmp_path_factory.mktemp("play"), np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (80, 5, 1, 7)).astype(np.float32)
    actions[::2, ..., 3:] = np.nan  # a robot with fewer numbers
    frames = np.full((80, 5, SIZE, SIZE, 3), 60, np.uint8)
    for clip in range(80):
        place = rng.uniform(10, 16, 2)
        for t in range(5):
            y, x = place.round().astype(int)
            frames[clip, t, y : y + 6, x : x + 6] = 220
            place = (place + 2 * actions[clip, t, 0, 1::-1]).clip(0, SIZE - 6)
    np.save(folder / "frames.npy", frames)
    (folder / "labels").mkdir()
    np.save(folder / "labels" / "actions.npy", actions)
    return folder


def pictures(b: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (b, SIZE, SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_change_is_a_call_of_two_frames(saved: Path) -> None:
    encoder = ChangeEncoder.from_pretrained(saved)
    now, later = pictures(seed=1), pictures(seed=2)
    change = encoder(now, later)
    assert change.pooled.shape == (2, 1, 64) and change.placed.shape == (2, 16, 64) and not change.values.requires_grad
    torch.testing.assert_close(encoder(now.float() / 255, later.float() / 255).values, change.values)
    assert not torch.allclose(encoder(now, now).values, change.values)
    with pytest.raises(BadInput, match="need 32 × 32"):
        encoder(now[:, :16], later[:, :16])


def test_the_later_frame_is_seen_as_change_alone(saved: Path) -> None:
    """P comes from frame t: with the M stream silenced, nothing of frame t+k is left."""
    encoder = ChangeEncoder.from_pretrained(saved)
    encoder.streams.encoder_m.forward_features = lambda m: m.new_zeros(len(m), 17, 64)  # type: ignore[method-assign]
    now = pictures(seed=1)
    assert torch.equal(encoder(now, pictures(seed=2)).values, encoder(now, pictures(seed=3)).values)
    assert not torch.equal(encoder(pictures(seed=4), pictures(seed=2)).values, encoder(now, pictures(seed=2)).values)


def test_streams_without_fusion_are_refused(tmp_path: Path) -> None:
    streams = TwoStreamEncoder(SIZE, dim=64, depth=1, heads=2)
    name = save_streams(streams, tmp_path, PolicyConfig(size=SIZE, streams=StreamsConfig(dim=64, depth=1, heads=2)))
    with pytest.raises(BadInput, match="no fusion beside"):
        ChangeEncoder.from_pretrained(tmp_path / "streams" / name[:16])


def test_the_head_is_saved_and_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = InverseDynamics(64, (4, 4), chunk=2, action_dim=7, proprio_dim=5, task_dim=3).eval()
    change = Tokens(torch.randn(3, 17, 64), torch.rand(16, 2))
    proprio, task = torch.randn(3, 5), torch.randn(3, 3)
    told = head(change, proprio, task)
    assert told.shape == (3, 2, 7) and not torch.equal(told, head(change, proprio + 1, task)) and not torch.equal(told, head(change, proprio, task + 1))
    head.save(tmp_path, {"gap": 1})
    torch.testing.assert_close(InverseDynamics.from_pretrained(tmp_path)(change, proprio, task), told, rtol=0, atol=2e-3)
    (tmp_path / "head.safetensors").write_bytes(b"torn" * 9)
    with pytest.raises(BadInput, match=r"head\.safetensors"):
        InverseDynamics.from_pretrained(tmp_path)


def test_numbers_that_are_not_there_do_not_count() -> None:
    target = torch.tensor([[[1.0, float("nan")], [0.0, 2.0]]])
    predicted = torch.zeros(1, 2, 2, requires_grad=True)
    loss = masked_l1(predicted, target)
    loss.backward()
    assert loss.item() == pytest.approx(1.0) and predicted.grad is not None and predicted.grad.isfinite().all() and predicted.grad[0, 0, 1] == 0


def test_actions_are_told_from_change_and_not_without_it(saved: Path, play: Path, tmp_path: Path) -> None:
    words = [f"streams={saved}", f"data={play}", f"out={tmp_path}", "steps=250", "batch=16", "holdout=0.25", "device=cpu", "precision=fp32", "num_threads=1"]
    rows = measure(parse("policy.conf", "inverse_dynamics", Settings, words))
    median, without, change = (rows[name]["translation"] for name in ("always the median action", "without change", "change"))
    assert change < 0.85 * median and change < 0.85 * without
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["mean_absolute_error"] == rows and written["streams_sha256"][:16] == saved.name
    assert all((tmp_path / name).exists() for name in ("head.safetensors", "change.png", "actions.png"))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("streams=/nowhere", "streams=/nowhere"),
        ("data=/nowhere", "labels/actions.npy"),
        ("gap=0", "gap=0"),
        ("holdout=1", "holdout=1"),
        ("gap=9", "gap < frames"),
    ],
)
def test_refusals(saved: Path, play: Path, tmp_path: Path, word: str, said: str) -> None:
    words = [f"streams={saved}", f"data={play}", f"out={tmp_path}", word]
    with pytest.raises(BadInput) as refused:
        measure(parse("policy.conf", "inverse_dynamics", Settings, words))
    assert said in str(refused.value)
