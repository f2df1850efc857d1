"""SIGReg against values reckoned by hand, and what it makes of embeddings that follow it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from policy.pretrain.sigreg import beside_means, epps_pulley, sigreg
from policy.probing.rank import effective_rank

SAMPLES = [[0.3, -1.2, 2.0], [0.0, 0.0, 0.0], [-4.0, 4.0, 1.0]]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def integrated(sample: list[float]) -> float:
    """The definition, summed over two hundred thousand frequencies."""
    t = np.linspace(-12, 12, 200_001)
    characteristic = np.exp(1j * t[:, None] * np.asarray(sample)).mean(1)
    return float((np.abs(characteristic - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)).sum() * (t[1] - t[0]))


def closed(sample: list[float]) -> float:
    """The same integral with pen and paper: ∫ cos(ta) exp(−t²/2) dt = √2π exp(−a²/2), ∫ cos(ta) exp(−t²) dt = √π exp(−a²/4)."""
    m = len(sample)
    pairs = sum(math.exp(-((a - b) ** 2) / 2) for a in sample for b in sample) / m**2
    alone = sum(math.exp(-(a**2) / 4) for a in sample) / m
    return math.sqrt(2 * math.pi) * pairs - 2 * math.sqrt(math.pi) * alone + math.sqrt(2 * math.pi / 3)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_statistic_is_the_integral(sample: list[float]) -> None:
    assert integrated(sample) == pytest.approx(closed(sample), rel=1e-6)
    assert float(epps_pulley(torch.tensor(sample, dtype=torch.float64)[:, None])) == pytest.approx(closed(sample), abs=3e-4)


def test_columns_are_samples_of_their_own() -> None:
    together = epps_pulley(torch.tensor(SAMPLES).T)
    assert together.tolist() == pytest.approx([closed(sample) for sample in SAMPLES], abs=3e-4)


def test_it_is_small_for_a_normal_sample_and_large_for_others() -> None:
    normal = torch.randn(2000, 300, generator=generator())
    expected = math.sqrt(2 * math.pi) * (1 - 1 / math.sqrt(3))  # ∫ (1 − exp(−t²)) exp(−t²/2) dt: what chance makes of m numbers, times m
    assert float(epps_pulley(normal).mean()) == pytest.approx(expected / 2000, rel=0.1)
    alike = math.sqrt(2 * math.pi) * (1 - math.sqrt(2) + 1 / math.sqrt(3))
    assert float(epps_pulley(torch.zeros(2000, 1))) == pytest.approx(alike, abs=3e-4)
    for other in (0.5 * normal, 2 * normal, normal + 0.5, normal.sign()):
        assert float(epps_pulley(other).mean()) > 20 * expected / 2000


def test_embeddings_are_projected_on_lines_of_length_one() -> None:
    column = torch.tensor(SAMPLES[0])[:, None]
    assert float(sigreg(column, 5, generator())) == pytest.approx(closed(SAMPLES[0]), abs=3e-4), "in one dimension, both ways along a line are alike"
    normal = torch.randn(2000, 16, generator=generator())
    few = torch.cat([normal[:, :2], torch.zeros(2000, 14)], 1) * math.sqrt(8)  # as much variance, in two dimensions
    assert float(sigreg(normal, 200, generator())) < 0.001
    assert float(sigreg(few, 200, generator())) > 0.02
    assert float(sigreg(torch.ones(2000, 16), 200, generator())) > 0.3
    assert not torch.equal(sigreg(few, 20, generator()), sigreg(few, 20, torch.Generator().manual_seed(1)))


def test_following_its_gradient_collapsed_embeddings_become_normal() -> None:
    chance = generator()
    embeddings = torch.nn.Parameter(1 + 0.05 * torch.randn(256, 1, generator=chance) * torch.ones(1, 8) + 0.01 * torch.randn(256, 8, generator=chance))
    assert effective_rank(embeddings) < 2
    optimizer = torch.optim.Adam([embeddings], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        sigreg(embeddings, 32, chance).backward()
        optimizer.step()
    assert float(sigreg(embeddings.detach(), 200, chance)) < 0.005 and effective_rank(embeddings) > 7.5
    torch.testing.assert_close(embeddings.detach().T.cov(), torch.eye(8), atol=0.2, rtol=0)


def test_what_only_says_where_or_of_which_picture_is_nothing() -> None:
    (a, b), (c, d) = [[1.0, 2.0], [4.0, 9.0]]
    by_hand = (a - b - c + d) / 2  # a quarter beside the means, times √(4 / 1)
    patches = beside_means(torch.tensor([[[a], [b]], [[c], [d]]]))
    assert patches.flatten().tolist() == pytest.approx([by_hand, -by_hand, -by_hand, by_hand])
    place, picture = torch.randn(1, 9, 4, generator=generator()), torch.randn(5, 1, 4, generator=generator())
    torch.testing.assert_close(beside_means(place.expand(5, 9, 4) + picture), torch.zeros(5, 9, 4), atol=1e-5, rtol=0)
    normal = torch.randn(4, 9, 2000, generator=generator())
    assert float(beside_means(normal).square().mean()) == pytest.approx(1, abs=0.02), "their variance stays"
