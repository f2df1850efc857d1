"""Frames to M and P channels: pure functions (spec A1)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from policy.shapes import Channels
from whatwhere.errors import choose

LUMINANCE = (0.299, 0.587, 0.114)  # Rec. 601 weights of R, G, B
CHANGES = ("past", "future")


def picture_tensor(frames: UInt8[np.ndarray, "*b h w 3"], device: torch.device | str = "cpu") -> Float[Tensor, "*b 3 h w"]:
    """Stored frames as RGB in [0, 1], colours first; they travel to `device` as bytes."""
    return rearrange(torch.from_numpy(np.ascontiguousarray(frames)).to(device), "... h w rgb -> ... rgb h w").float() / 255


def luminance(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Rec. 601 luma of RGB in [0, 1]."""
    return (picture * picture.new_tensor(LUMINANCE)[:, None, None]).sum(dim=1, keepdim=True)


def m_channels(previous: Float[Tensor, "b 3 h w"], current: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 4 h w"]:
    """What changed: ΔL, ΔR, ΔG, ΔB, later minus earlier, in [-1, 1]; exactly zero for equal frames."""
    change = current - previous
    return torch.cat([luminance(change), change], dim=1)


def p_channels(frame: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 5 h w"]:
    """What is where: ∂x, ∂y, R, G, B.

    The gradients are the luminance of the right (lower) neighbour minus that of the left (upper) one, in [-1, 1]; the
    border is repeated. Colours are centred: [-0.5, 0.5].
    """
    light = F.pad(luminance(frame), (1, 1, 1, 1), mode="replicate")  # (b, 1, h+2, w+2)
    dx = light[..., 1:-1, 2:] - light[..., 1:-1, :-2]
    dy = light[..., 2:, 1:-1] - light[..., :-2, 1:-1]
    return torch.cat([dx, dy, frame - 0.5], dim=1)


def pair_channels(frames: Shaped[Tensor, "*b 2 h w 3"], change: str = "past") -> Channels:
    """M and P of pairs (earlier, later) of frames, uint8 or float in [0, 1].

    `change="past"`: the pair is (t−k, t) and P is the later frame, the newest one a policy has when it must act.
    `change="future"`: the pair is (t, t+k) and P is the *earlier* frame, so that P does not leak the frame to be predicted.
    Raises BadInput for another `change`.
    """
    choose("change", change, CHANGES)
    lead = frames.shape[:-4]
    pixels = frames.to(torch.float32) / 255 if frames.dtype == torch.uint8 else frames
    pixels = rearrange(pixels.reshape(-1, *frames.shape[-4:]), "b two h w rgb -> two b rgb h w")
    m = m_channels(pixels[0], pixels[1])
    p = p_channels(pixels[1] if change == "past" else pixels[0])
    return Channels(m.reshape(*lead, *m.shape[1:]), p.reshape(*lead, *p.shape[1:]))
