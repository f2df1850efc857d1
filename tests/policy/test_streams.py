from __future__ import annotations

import pytest
import torch

from policy.shapes import cell_centres
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput


@pytest.mark.parametrize("stem", ["conv", "patch"])
def test_shapes(stem: str) -> None:
    streams = TwoStreamEncoder(size=32, patch=8, dim=64, depth=1, heads=2, stem=stem)
    tokens = streams(torch.rand(3, 4, 32, 32), torch.rand(3, 5, 32, 32))
    assert streams.grid == (4, 4)
    assert (streams.num_patches, streams.num_tokens) == (16, 17)
    assert tokens.m_cls.shape == tokens.p_cls.shape == (3, 64)
    assert tokens.m_patches.shape == tokens.p_patches.shape == (3, 16, 64)


def test_cells_are_counted_row_by_row() -> None:
    assert torch.allclose(cell_centres((4, 4))[1 * 4 + 3], torch.tensor([0.75, -0.25]))  # right, above the middle


def test_streams_do_not_mix_samples_or_each_other() -> None:
    streams = TwoStreamEncoder(size=32, dim=64, depth=1, heads=2).eval()
    m, p = torch.rand(4, 4, 32, 32), torch.rand(4, 5, 32, 32)
    with torch.no_grad():
        together, alone = streams(m, p), streams(m[1:2], p[:1])
    assert torch.allclose(alone.m_patches[0], together.m_patches[1], atol=1e-5)
    assert torch.allclose(alone.p_patches[0], together.p_patches[0], atol=1e-5)


def test_still_is_what_the_m_stream_says_of_no_change() -> None:
    streams = TwoStreamEncoder(size=32, dim=64, depth=1, heads=2).eval()
    with torch.no_grad():
        tokens = streams(torch.zeros(2, 4, 32, 32), torch.rand(2, 5, 32, 32))
        cls, patches = streams.still()
    assert torch.allclose(tokens.m_cls, cls.expand(2, -1), atol=1e-6)
    assert torch.allclose(tokens.m_patches, patches.expand(2, -1, -1), atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"size": 90}, "size=90"), ({"patch": 12, "size": 96}, "patch=12"), ({"dim": 100}, "dim=100"), ({"depth": 0}, "depth=0"), ({"stem": "cnn"}, "stem=cnn")],
)
def test_bad_sizes_are_refused(sizes: dict[str, int | str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        TwoStreamEncoder(**sizes)  # type: ignore[arg-type]
