"""`inference=bf16`: the two streams in bfloat16, which newer processors multiply several times as fast as fp32; encoder and head stay in fp32.

Where nothing moved in front of a camera (the frames of its pair are equal, as after a reset, or differ by no more than a quiet camera's noise) the M stream has
one answer, which is kept. It depends on the frames alone, so rows repeat.
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
from policy.streams import M_CHANNELS, P_CHANNELS
from policy.transforms import Affine
from whatwhere.errors import BadInput

NEARLY = 3  # of 255: as much as any number of any pixel may differ. Noise within it moves no number of an action by more than 0.03 (docs/lab.md)


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
            self.still, self.grey = (  # (1, 1+n, d) each
                stream.forward_features(torch.zeros(1, channels, streams.size, streams.size, dtype=torch.bfloat16, device=self.device))
                for stream, channels in ((self.m, M_CHANNELS), (self.p, P_CHANNELS))
            )

    def predict(self, frames: UInt8[Tensor, "1 c 2 h w 3"], proprio: Tensor, task: Words, noise: Tensor | None = None) -> Prediction:
        channels = pair_channels(frames, self.policy.config.change)
        moved = (frames[0, :, 0].short() - frames[0, :, 1].short()).abs().flatten(1).amax(dim=1) > NEARLY  # (c,)
        m = self.still.repeat(len(moved), 1, 1)  # (c, 1+n, d)
        if moved.any() and "m" not in self.policy.unseen:
            m[moved] = self.m.forward_features(_prepared(channels.m[0, moved]))
        p = self.grey.expand(len(moved), -1, -1) if "p" in self.policy.unseen else self.p.forward_features(_prepared(channels.p[0]))
        tokens = StreamTokens(m[:, 0], m[:, 1:], p[:, 0], p[:, 1:]).map(lambda x: x.float()[None])
        return self.policy.decide(tokens, proprio, task, noise=noise)


def _prepared(channels: Float[Tensor, "c x h w"]) -> Tensor:
    return channels.to(torch.bfloat16, memory_format=torch.channels_last)
