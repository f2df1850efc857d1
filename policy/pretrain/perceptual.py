"""Perceptual distance: pictures compared in the features of a frozen network (Johnson et al. 2016), not only pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from policy.storage.tensorfile import read_header
from whatwhere.errors import BadInput

WIDTHS = (24, 48, 96)
SEED = 0


class Perceptual(nn.Module):
    """Mean squared distance of channel-normalised features at three scales; frozen, gradients reach the picture only.

    `weights=None`: a small convolutional network with fixed random weights (seed 0), the same everywhere and nothing to download. Random
    filters keep edges and textures apart (Ulyanov et al. 2018; He et al. 2016, "A powerful generative model using random weights").
    `network` and `weights`: a timm model by name and its .safetensors file. Raises BadInput for a file or a name that does not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: str | None = None, weights: str | None = None) -> None:
        super().__init__()
        if (network is None) != (weights is None):
            raise BadInput("objective.perceptual_network, objective.perceptual_weights: give both (a timm model and its .safetensors file) or none")
        self.stages: nn.ModuleList | None = None
        self.network: nn.Module | None = None
        if network is None:
            self.stages = _random_stages()
        else:
            assert weights is not None
            self.network = pretrained_features(network, weights, "objective.perceptual_weights")
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)  # of ImageNet
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def forward(self, picture: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Pictures in [0, 1]; both go through the network, so give only those whose distance counts."""
        distance = picture.new_zeros(())
        for mine, wanted in zip(self._features(picture), self._features(target), strict=True):
            distance = distance + (F.normalize(mine, dim=1) - F.normalize(wanted, dim=1)).square().sum(1).mean()
        return distance

    def _features(self, picture: Tensor) -> list[Tensor]:
        x = (picture - self.mean) / self.std
        if self.network is not None:
            return self.network(x)
        assert self.stages is not None
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def train(self, mode: bool = True) -> Perceptual:
        """Stays in evaluation mode: what is measured must not depend on the batch."""
        return super().train(False)


def _random_stages() -> nn.ModuleList:
    rng = torch.Generator().manual_seed(SEED)
    stages, before = [], 3
    for width in WIDTHS:
        conv = nn.Conv2d(before, width, 4, stride=2, padding=1)
        fan = before * 16
        with torch.no_grad():
            conv.weight.copy_(torch.randn(conv.weight.shape, generator=rng) * (2 / fan) ** 0.5)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        stages.append(nn.Sequential(conv, nn.ReLU()))
        before = width
    return nn.ModuleList(stages)


def pretrained_features(network: str, weights: str, option: str, scales: tuple[int, ...] = (0, 1, 2)) -> nn.Module:
    """A timm model cut to features of strides 2^(1 + each of `scales`), with weights from a .safetensors file. Raises BadInput, naming `option`."""
    import timm
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not weights.endswith(".safetensors"):
        raise BadInput(f"{option}={weights}: needs a .safetensors file")
    try:
        read_header(Path(weights))
    except BadInput as error:
        raise BadInput(f"{option}={error}") from None
    if network not in timm.list_models():
        raise BadInput(f"{network}: timm has no model of this name; see timm.list_models()")
    model = timm.create_model(network, features_only=True, out_indices=scales)
    try:
        missing, _ = model.load_state_dict(load_file(weights), strict=False)
    except (RuntimeError, ValueError, SafetensorError) as error:
        raise BadInput(f"{option}={weights}: not weights of {network} ({str(error).splitlines()[0]})") from None
    if missing:
        raise BadInput(f"{option}={weights}: not weights of {network}: no {missing[0]}")
    return model
