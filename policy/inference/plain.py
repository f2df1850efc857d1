"""`inference=plain`: the policy as it was trained, in fp32. The reference for all other ways.

Where nothing moved in front of any camera (the frames of each pair are equal, as after a reset), the M stream has one answer, which is computed once: bit for
bit the same, and nearly half of the query is saved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policy.channels import pair_channels
from policy.model import Policy
from policy.shapes import Prediction, StreamTokens, Words
from policy.transforms import Affine


class Plain:
    """Answers one observation. Subclasses compute `predict` in another way."""

    def __init__(self, policy: Policy, normalisation: Mapping[str, Affine]) -> None:
        self.policy, self.normalisation = policy, normalisation
        self._still: Tensor | None = None
        self.device = next(policy.parameters()).device
        self._read: tuple[NDArray, Words] | None = None

    def __call__(self, frames: NDArray[np.uint8], proprio: NDArray[np.float32], task: NDArray, noise: NDArray[np.float32] | None = None) -> Prediction:
        """frames (c, 2, h, w, 3) and proprio (s,) as observed → actions (1, k, a) in the world's numbers, not clipped, and where it looked.

        task: the instruction as `language.code` gives it; noise (z,), where the head draws. The very array
        of the query before is not read again as `task`.
        """
        pictures = torch.from_numpy(np.ascontiguousarray(frames))[None].to(self.device)
        own = torch.from_numpy(self.normalisation["proprio"].normalise(proprio))[None].to(self.device)
        with torch.inference_mode(), exactly(self.device):
            drawn = None if noise is None else torch.from_numpy(noise)[None].to(self.device)
            if self._read is None or self._read[0] is not task:
                self._read = task, self.policy.words(torch.from_numpy(task)[None].to(self.device)).alone()
            answer = self.predict(pictures, own, self._read[1], drawn)
        actions = self.normalisation["actions"].unnormalise(answer.actions.cpu().numpy())
        return replace(answer, actions=torch.from_numpy(actions))

    def predict(self, frames: Tensor, proprio: Tensor, task: Words, noise: Tensor | None = None) -> Prediction:
        """As `Policy.predict`, on a batch of one."""
        if self.policy.streams is None or self.policy.unseen or not torch.equal(frames[:, :, 0], frames[:, :, 1]):
            return self.policy.predict(frames, proprio, task, noise=noise)
        channels = pair_channels(frames, self.policy.config.change)
        if self._still is None:  # of as many pictures as there are cameras: another number is summed up in another order
            self._still = self.policy.streams.encoder_m.forward_features(channels.m[0])  # (c, 1+n, d)
        m, p = self._still, self.policy.streams.encoder_p.forward_features(channels.p[0])
        tokens = StreamTokens(m[:, 0], m[:, 1:], p[:, 0], p[:, 1:]).map(lambda x: x[None])
        return self.policy.decide(tokens, proprio, task, noise=noise)


def exactly(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Convolutions on a GPU keep all bits of fp32, which they would round to 10 of 23 by default: answers are those of the processor."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if device.type == "cuda" else contextlib.nullcontext()
