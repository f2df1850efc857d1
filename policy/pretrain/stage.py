"""Training by stages: the streams (and fusion) of one run are where the next begins."""

from __future__ import annotations

from pathlib import Path

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import nn

from policy.storage.checkpoint import load_fusion, load_streams
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput

SIZES = ("patch", "dim", "depth", "heads", "stem")


def begin_from(folder: str | Path, streams: TwoStreamEncoder, fusion: nn.Module | None, sizes: dict[str, object], frozen: bool = False) -> str:
    """Loads the streams saved in `folder` and, where the same kind of fusion lies beside them, the fusion. Returns the streams' sha256.

    Pictures may be of another size: positions are then interpolated. Raises BadInput where `sizes` (patch, dim, depth, heads, stem) differ and, if they are to
    stay as they are (`frozen`), where there is no fusion that fits.
    """
    before, record = load_streams(folder)
    for name in SIZES:
        if record["streams"][name] != sizes[name]:
            raise BadInput(f"{name}={sizes[name]}: the streams of init={folder} have {name}={record['streams'][name]}; give {name}={record['streams'][name]}")
    state = before.state_dict()
    if before.grid != streams.grid:
        for name in ("encoder_m.pos_embed", "encoder_p.pos_embed"):
            state[name] = resample_abs_pos_embed(state[name], list(streams.grid), list(before.grid))
    streams.load_state_dict(state)
    known = load_fusion(folder, streams.grid)
    if known is not None and fusion is not None and getattr(fusion, "choices", None) == known.choices:
        with torch.no_grad():
            fusion.load_state_dict(known.state_dict())
    elif frozen:
        raise BadInput(f"frozen=true: no fusion of this objective's kind beside the streams of init={folder}")
    return record["sha256"]
