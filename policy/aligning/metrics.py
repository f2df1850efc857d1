"""How well pictures and texts are aligned (spec B8), and how far apart the two lie (B9)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def alignment(pictures: Float[np.ndarray, "n e"], texts: Float[np.ndarray, "n e"], same: Bool[np.ndarray, "n n"] | None = None) -> dict[str, float]:
    """B8, of unit vectors: mean similarity of matched pairs and of all, and how often a picture's text is the nearest of all n and the other way round.

    `same`: texts that say the same count as the same one; None: all differ.
    """
    similar = pictures @ texts.T
    same = np.eye(len(similar), dtype=bool) if same is None else same
    rows = np.arange(len(similar))
    return {
        "among": float(len(similar)),
        "chance": float(same.mean()),
        "matched_similarity": float(np.diag(similar).mean()),
        "mean_similarity": float(similar.mean()),
        "top1_text": float(same[rows, similar.argmax(1)].mean()),
        "top1_picture": float(same[similar.argmax(0), rows].mean()),
    }


def modality_gap(pictures: Float[np.ndarray, "n e"], texts: Float[np.ndarray, "m e"]) -> dict[str, float]:
    """B9: distance of the two centroids; the variance of each (mean squared distance from its centroid); the variances' ratio; the gap over their mean root."""
    centres = pictures.mean(0), texts.mean(0)
    spread = [float(np.square(values - centre).sum(1).mean()) for values, centre in zip((pictures, texts), centres, strict=True)]
    gap = float(np.linalg.norm(centres[0] - centres[1]))
    return {
        "gap": gap,
        "variance_pictures": spread[0],
        "variance_texts": spread[1],
        "variance_ratio": spread[0] / max(spread[1], 1e-12),
        "gap_ratio": gap / max(np.sqrt(sum(spread) / 2), 1e-12),
    }
