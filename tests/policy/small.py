"""A small policy and observations for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from policy.config import PolicyConfig, StreamsConfig

SIZE, PROPRIO = 32, 5


def config(encoder: str = "pixelwise", **changes: Any) -> PolicyConfig:
    sizes = {"size": SIZE, "proprio_dim": PROPRIO, "keypoints": 8, "head_parameters": 400_000, "streams": StreamsConfig(dim=64, depth=1, heads=2)}
    return PolicyConfig(encoder=encoder, **(sizes | changes))


def inputs(b: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """frames (b, c, 2, h, w, 3) uint8, proprio (b, s), bag of words (b, 64)."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (b, 2, 2, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
    return frames, torch.randn(b, PROPRIO, generator=generator), torch.randn(b, 64, generator=generator)


def observation(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (2, 2, SIZE, SIZE, 3), dtype=np.uint8)
    return {"frames": frames, "proprio": rng.normal(size=PROPRIO).astype(np.float32), "instruction": "pick the red cube"}


def awake(policy: Any) -> Any:
    """Answers of new weights are near zero whatever is seen; these are not."""
    with torch.no_grad():
        for parameter in policy.head.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return policy


def stirring(policy: Any) -> Any:
    """The same for head=l1, by as much that few numbers of an action are clipped."""
    with torch.no_grad():
        policy.head.act[-1].weight.mul_(30)
    return policy
