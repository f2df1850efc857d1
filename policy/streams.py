"""The two streams: one small ViT for M, one for P (spec A10)."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from jaxtyping import Float
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from policy.shapes import StreamTokens
from policy.stream_sizes import check_sizes

M_CHANNELS, P_CHANNELS = 4, 5


class ConvStem(nn.Module):
    """Strided 4×4 convolutions down to the token grid in place of one large patch projection.

    After equally many steps of pre-training, places are told with half the error more over plain patch projections (docs/lab.md). See Xiao et al.
    2021, "Early convolutions help transformers see better". The signature is that of timm's PatchEmbed.
    """

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: Any) -> None:
        super().__init__()
        steps = patch_size.bit_length() - 1
        widths = [in_chans, *(embed_dim * (i + 1) // (steps + 1) // 8 * 8 for i in range(steps))]
        layers: list[nn.Module] = []
        # kernels of 4 and not 3: with stride 2 these look at a cell's centre, those at its upper left corner
        for before, after in itertools.pairwise(widths):
            # GroupNorm and not BatchNorm: a picture's tokens must not depend on the pictures beside it
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False), nn.GroupNorm(8, after), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], embed_dim, 1))
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten(2).transpose(1, 2)  # (b, n, d)


STEMS: dict[str, type[nn.Module]] = {"conv": ConvStem, "patch": PatchEmbed}


class TwoStreamEncoder(nn.Module):
    """M and P channels → CLS and patch tokens of each.

    Attributes: `dim` (d), `grid` (rows, columns), `num_patches` (n), `num_tokens` (n + 1, of one stream).
    Raises BadInput for sizes that do not fit each other.
    """

    def __init__(self, size: int = 96, patch: int = 8, dim: int = 128, depth: int = 4, heads: int = 4, stem: str = "conv") -> None:
        super().__init__()
        check_sizes(size, patch, dim, depth, heads, stem)
        self.size, self.dim, self.grid = size, dim, (size // patch, size // patch)
        self.num_patches = self.grid[0] * self.grid[1]
        self.num_tokens = self.num_patches + 1

        # weight_init="jax" is Xavier's: timm's own deviation of 0.02 is meant for wide models, and streams of 128 channels hardly learn from it
        def stream(channels: int) -> VisionTransformer:
            return VisionTransformer(
                img_size=size,
                patch_size=patch,
                in_chans=channels,
                num_classes=0,
                embed_dim=dim,
                depth=depth,
                num_heads=heads,
                embed_layer=STEMS[stem],
                weight_init="jax",
            )

        self.encoder_m, self.encoder_p = stream(M_CHANNELS), stream(P_CHANNELS)

    def forward(self, m: Float[Tensor, "b 4 h w"], p: Float[Tensor, "b 5 h w"]) -> StreamTokens:
        m_tokens = self.encoder_m.forward_features(m)  # (b, 1+n, d)
        p_tokens = self.encoder_p.forward_features(p)
        return StreamTokens(m_tokens[:, 0], m_tokens[:, 1:], p_tokens[:, 0], p_tokens[:, 1:])

    def still(self) -> tuple[Float[Tensor, "1 d"], Float[Tensor, "1 n d"]]:
        """What the M stream says when nothing changed (M ≡ 0): its CLS and patch tokens."""
        nothing = torch.zeros(1, M_CHANNELS, self.size, self.size, device=next(self.parameters()).device)
        tokens = self.encoder_m.forward_features(nothing)
        return tokens[:, 0], tokens[:, 1:]

    def grey(self) -> tuple[Float[Tensor, "1 d"], Float[Tensor, "1 n d"]]:
        """What the P stream says of a grey picture (P ≡ 0: no gradients, colours in the middle): its CLS and patch tokens."""
        nothing = torch.zeros(1, P_CHANNELS, self.size, self.size, device=next(self.parameters()).device)
        tokens = self.encoder_p.forward_features(nothing)
        return tokens[:, 0], tokens[:, 1:]
