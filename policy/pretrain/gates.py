"""What gates between the streams let through: α, the share of M, on video and where nothing moves (spec A4)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from policy.channels import m_channels, p_channels
from policy.fusion.gating import Gating
from policy.fusion.pixelwise import PixelwiseFusion
from policy.shapes import StreamTokens
from policy.streams import TwoStreamEncoder


@torch.no_grad()
def gate_shares(streams: TwoStreamEncoder, fusion: PixelwiseFusion, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"]) -> dict[str, float]:
    """Mean α of pairs in which something moves, `alpha_cls_video`, and of their first frame shown twice, `alpha_cls_static`; likewise `alpha_patches_…`.

    Of the fusions that are gates; empty where none is, and where nothing moves.
    """
    gates = {name: gate for name, gate in (("cls", fusion.cls), ("patches", fusion.patches)) if isinstance(gate, Gating)}
    moves = (now != later).flatten(1).any(1)
    if not gates or not moves.any():
        return {}
    now, later = now[moves], later[moves]
    found = {}
    for kind, other in (("video", later), ("static", now)):
        tokens: StreamTokens = streams(m_channels(now, other), p_channels(now))
        given = {"cls": (tokens.m_cls[:, None], tokens.p_cls[:, None]), "patches": (tokens.m_patches, tokens.p_patches)}
        found |= {f"alpha_{name}_{kind}": float(gate.share(*given[name]).mean()) for name, gate in gates.items()}
    return found
