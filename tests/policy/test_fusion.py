from __future__ import annotations

import pytest
import torch

from policy.fusion import CLS_FUSIONS, FUSIONS, SHARINGS
from policy.fusion.gating import Gating
from policy.fusion.pixelwise import PixelwiseFusion
from policy.shapes import StreamTokens
from whatwhere.errors import BadInput
from whatwhere.named import named

DIM = 64
WEIGHTS = {"linear": 2, "mlp": 6, "gating": 0}  # × D², spec A4


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 16, DIM, generator=generator), torch.randn(2, 16, DIM, generator=generator)


@pytest.mark.parametrize("name", FUSIONS)
def test_each_fusion_keeps_the_shape_and_reads_both_streams(name: str) -> None:
    m, p = pair()
    fuse = named("fusion", name, FUSIONS)(DIM)
    fused = fuse(m, p)
    assert fused.shape == m.shape
    assert not torch.allclose(fused, fuse(m.roll(1, 0), p))
    assert not torch.allclose(fused, fuse(m, p.roll(1, 0)))


@pytest.mark.parametrize("name", ["linear", "mlp", "gating"])
def test_pixelwise_means_a_patch_of_its_own(name: str) -> None:
    m, p = pair()
    fuse = named("fusion", name, FUSIONS)(DIM)
    changed = m.clone()
    changed[:, 5] += 1
    moved = (fuse(changed, p) - fuse(m, p)).abs().sum(dim=-1) > 1e-5
    assert moved[:, 5].all()
    assert moved.sum() == 2


@pytest.mark.parametrize("name", CLS_FUSIONS)
def test_sizes_are_those_of_the_paper(name: str) -> None:
    parameters = sum(p.numel() for p in named("cls_fusion", name, CLS_FUSIONS)(DIM).parameters())
    assert parameters / DIM**2 == pytest.approx({**WEIGHTS, "cross_attention": 12}[name], abs=0.3)


def test_the_gates_share_is_readable() -> None:
    m, p = pair()
    gate = Gating(DIM)
    share = gate.share(m, p)
    assert share.shape == (2, 16, 1)
    assert torch.allclose(gate(m, p), share * m + (1 - share) * p)
    with torch.no_grad():
        gate.gate.bias.fill_(50.0)
    assert torch.allclose(gate(m, p), m)


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("name", FUSIONS)
def test_pixelwise_fusion(name: str, sharing: str) -> None:
    m, p = pair()
    fusion = PixelwiseFusion(DIM, (4, 4), name, name, sharing)
    tokens = fusion(StreamTokens(m[:, 0], m, p[:, 0], p))
    assert tokens.values.shape == (2, 17, DIM)
    assert tokens.pooled.shape == (2, 1, DIM)
    assert tokens.placed.shape == (2, 16, DIM)
    assert (fusion.cls is fusion.patches) == (sharing == "shared")


def test_refusals() -> None:
    with pytest.raises(BadInput, match=r"sharing=both: unknown; valid: separate, shared"):
        PixelwiseFusion(DIM, (4, 4), sharing="both")
    with pytest.raises(BadInput, match=r"fusion=gate: unknown.*did you mean gating"):
        PixelwiseFusion(DIM, (4, 4), fusion="gate")
    with pytest.raises(BadInput, match="multiple of 8"):
        named("fusion", "cross_attention", FUSIONS)(12)
