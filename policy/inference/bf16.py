"""`inference=bf16`: the two streams in bfloat16, which newer processors multiply several times as fast as fp32; encoder and head stay in fp32.

Where nothing moved in front of a camera (the frames of its pair are equal, as after a reset) the M stream has one answer, which is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from policy.channels import pair_channels
from policy.inference.plain import Plain
from policy.model import Policy
from policy.shapes import Prediction, StreamTokens, Words
from policy.transforms import Affine
from whatwhere.errors import BadInput


def is_native(device: torch.device) -> bool:
    """Whether the device computes bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


class Bf16(Plain):
    """Raises BadInput for a policy without streams, which would gain nothing."""

    def __init__(self, policy: Policy, normalisation: Mapping[str, Affine]) -> None:
        super().__init__(policy, normalisation)
        if policy.streams is None:
            raise BadInput(f"inference=bf16: {policy.config.encoder} has no streams, which is what it is for; valid: plain")
        streams = copy.deepcopy(policy.streams).bfloat16().to(memory_format=torch.channels_last)
        self.m, self.p = streams.encoder_m, streams.encoder_p
        with torch.inference_mode():
            self.still = self.m.forward_features(torch.zeros(1, 4, streams.size, streams.size, dtype=torch.bfloat16, device=self.device))  # (1, 1+n, d)

    def predict(self, frames: UInt8[Tensor, "1 c 2 h w 3"], proprio: Tensor, task: Words, noise: Tensor | None = None) -> Prediction:
        channels = pair_channels(frames, self.policy.config.change)
        moved = (frames[0, :, 0] != frames[0, :, 1]).flatten(1).any(dim=1)  # (c,)
        m = self.still.repeat(len(moved), 1, 1)  # (c, 1+n, d)
        if moved.any():
            m[moved] = self.m.forward_features(_prepared(channels.m[0, moved]))
        p = self.p.forward_features(_prepared(channels.p[0]))
        tokens = StreamTokens(m[:, 0], m[:, 1:], p[:, 0], p[:, 1:]).map(lambda x: x.float()[None])
        return self.policy.decide(tokens, proprio, task, noise=noise)


def _prepared(channels: Float[Tensor, "c x h w"]) -> Tensor:
    return channels.to(torch.bfloat16, memory_format=torch.channels_last)
