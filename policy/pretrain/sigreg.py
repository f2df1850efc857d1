"""SIGReg, sketched isotropic Gaussian regularisation (Balestriero and LeCun 2025, "LeJEPA", arXiv 2511.08544): how far embeddings are from N(0, I).

A distribution is N(0, I) if and only if each of its projections on a line is N(0, 1) (Cramér and Wold). So embeddings are projected on random lines, other
ones every time, and each projection is compared with N(0, 1) by its characteristic function (Epps and Pulley 1983). Embeddings that are all alike, or lie
in few dimensions, are far from it; so a network that is also asked to make its embeddings predictable cannot do that by saying nothing.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FARTHEST, KNOTS = 4.0, 9  # frequencies 0, 0.5, … 4: the weight is 3e-4 there, and the sum is right to 3e-4 for samples within ± 5


def epps_pulley(values: Float[Tensor, "m s"]) -> Float[Tensor, " s"]:
    """For each column, a sample of m numbers: ∫ |φ(t) − exp(−t²/2)|² exp(−t²/2) dt, φ being the sample's characteristic function.

    0 if it is that of N(0, 1); about 1.06 / m for a sample of N(0, 1), 0.41 for zeros. Not multiplied by m, as the test statistic is, so that its weight in
    a loss does not depend on the batch.
    """
    t = torch.linspace(0, FARTHEST, KNOTS, device=values.device, dtype=values.dtype)
    normal = torch.exp(-t.square() / 2)
    angles = values[..., None] * t  # (m, s, knots)
    distance = (angles.cos().mean(0) - normal).square() + angles.sin().mean(0).square()
    return 2 * torch.trapezoid(distance * normal, t, dim=-1)  # the integrand is even


def sigreg(embeddings: Float[Tensor, "m d"], slices: int, generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean of `epps_pulley` over projections on `slices` random lines."""
    x = embeddings.float()
    lines = torch.randn(x.shape[1], slices, generator=generator, device=x.device)
    return epps_pulley(x @ (lines / lines.norm(dim=0))).mean()


def beside_means(patches: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """What patches say beside the mean of their place over the pictures, and that of their picture over the places, scaled to the variance before.

    Of b pictures at least two. Patches that only say where they are, or only in which picture, become zeros: for SIGReg they have collapsed.
    """
    b, n, _ = patches.shape
    x = patches.float()
    x = x - x.mean(0, keepdim=True)
    return (x - x.mean(1, keepdim=True)) * (b * n / ((b - 1) * (n - 1))) ** 0.5
