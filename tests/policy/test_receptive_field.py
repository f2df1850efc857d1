"""Where tokens say they lie is where they look: the gradient of each token's values is centred on its position."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from policy.encoders.cnn import CnnKeypoints
from policy.shapes import cell_centres
from policy.streams import TwoStreamEncoder
from tests.policy.small import config

SIZE = 64


def linear(module: nn.Module) -> nn.Sequential:
    """The convolutions alone, with even weights: what is left is where they look."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    for layer in layers:
        nn.init.constant_(layer.weight, 0.01)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("name", ["stem", "cnn"])
def test_tokens_look_where_they_say(name: str) -> None:
    if name == "stem":
        net, positions = linear(TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2).encoder_p.patch_embed), cell_centres((8, 8))
        picture = torch.zeros(1, 5, SIZE, SIZE, requires_grad=True)
    else:
        encoder = CnnKeypoints(config("cnn_keypoints", size=SIZE))
        net, positions = linear(encoder.net), encoder.positions
        picture = torch.zeros(1, 9, SIZE, SIZE, requires_grad=True)
    token = 3 * 8 + 4  # inside, where the border is not seen
    (gradient,) = torch.autograd.grad(net(picture).flatten(2)[0, :, token].sum(), picture)
    seen = gradient[0].sum(dim=0)
    pixel = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    centre = torch.stack([(seen.sum(dim=0) * pixel).sum(), (seen.sum(dim=1) * pixel).sum()]) / seen.sum()
    assert torch.allclose(centre, positions[token], atol=1e-4)
