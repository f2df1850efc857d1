"""Which sizes make a stream. Imports no torch."""

from __future__ import annotations

from whatwhere.errors import BadInput, choose

STEM_NAMES = ("conv", "patch")


def check_sizes(size: int, patch: int, dim: int, depth: int, heads: int, stem: str) -> None:
    """Raises BadInput unless the numbers make a stream."""
    choose("stem", stem, STEM_NAMES)
    if patch < 1 or size % patch or size < patch:
        raise BadInput(f"size={size}: must be a multiple of the patch size {patch}")
    if stem == "conv" and (patch < 2 or patch & (patch - 1)):
        raise BadInput(f"patch={patch}: a convolutional stem halves the picture again and again; needs 2, 4, 8 or 16")
    if heads < 1 or dim % heads or dim % 64:
        raise BadInput(f"dim={dim}: must be a multiple of 64 and of heads={heads}")
    if depth < 1:
        raise BadInput(f"depth={depth}: must be at least 1")
