"""Joint-embedding prediction (JEPA) for the two streams, without a teacher: from the tokens of a moment, those of the next one, patch by patch.

At each moment streams and fusion see what a policy sees: M of (t−k, t) and P of t. From the fused tokens of t, with some patches hidden, a small
transformer predicts those of t+k, which the same streams make of M of (t, t+k) and P of t+k. Gradients reach both sides. That all tokens say the same is
prevented by SIGReg alone (LeJEPA, Balestriero and LeCun 2025): tokens must be Gaussian. There are no crops, so that a token stays at its place.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from policy.channels import m_channels, p_channels
from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.objective import Objective
from policy.pretrain.partial import partial_tokens
from policy.pretrain.sigreg import beside_means, sigreg
from policy.pretrain.watch import FEW
from policy.probing.collapse import collapse
from policy.probing.rank import effective_rank
from policy.shapes import StreamTokens, Tokens
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput

ALARM_AFTER = 0.1  # of the steps: untrained tokens are much alike


class Predictor(nn.Module):
    """A transformer over CLS and patches; what it says is added to its input, so that it begins by saying that nothing changes."""

    def __init__(self, dim: int, tokens: int, depth: int, heads: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(tokens, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm, self.leave = nn.LayerNorm(dim), nn.Linear(dim, dim)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, tokens: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return tokens + self.leave(self.norm(self.blocks(tokens + self.positions)))


class Jepa(Objective):
    """Its pictures are frames t−k, t and t+k. Settings: `policy/conf/objective/jepa.yaml`. Raises BadInput."""

    frames = 3

    def __init__(
        self, streams: TwoStreamEncoder, sigreg: float = 10.0, slices: int = 128, hidden: float = 0.5, blocks: int = 2, cls_fusion: str = "linear"
    ) -> None:
        super().__init__()
        self.streams, self.sigreg, self.slices, self.hidden = streams, sigreg, slices, hidden
        self.fusion = PixelwiseFusion(streams.dim, streams.grid, "linear", cls_fusion, "separate")
        self.mask_m, self.mask_p = (nn.Parameter(torch.zeros(streams.dim)) for _ in range(2))
        heads = streams.encoder_p.blocks[0].attn.num_heads  # type: ignore[union-attr]
        self.predictor = Predictor(streams.dim, streams.num_tokens, blocks, heads)  # type: ignore[arg-type]
        self.teaches_cls = False
        self.seen: Tensor | None = None  # tokens of the last step: `wrong`

    def pair(self, *pictures: Tensor) -> tuple[Tensor, Tensor]:
        return pictures[1], pictures[2]

    def begin(self, step: int, steps: int, optimizer: torch.optim.Optimizer) -> None:
        self.teaches_cls = step >= ALARM_AFTER * steps

    def look(self, before: Float[Tensor, "b 3 h w"], now: Float[Tensor, "b 3 h w"], hidden: Bool[Tensor, "b n"] | None = None) -> Tokens:
        """The fused tokens of a moment, P being of the later frame (change=past)."""
        m = partial_tokens(self.streams.encoder_m, m_channels(before, now), hidden, self.mask_m)
        p = partial_tokens(self.streams.encoder_p, p_channels(now), hidden, self.mask_p)
        return self.fusion(StreamTokens(m[:, 0], m[:, 1:], p[:, 0], p[:, 1:]))

    def forward(
        self, before: Float[Tensor, "b 3 h w"], now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float], None]:
        """Loss and figures to log. Frames in [0, 1]."""
        terms, figures = self._learn(before, now, later, generator)
        loss = terms["prediction"] + terms["sigreg"]
        return loss, {"loss": loss.item()} | figures, None

    def terms(self, before: Tensor, now: Tensor, later: Tensor, generator: torch.Generator) -> dict[str, Tensor]:  # type: ignore[override]
        return self._learn(before, now, later, generator)[0]

    def _learn(self, before: Tensor, now: Tensor, later: Tensor, generator: torch.Generator) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Weighted terms of the loss, and figures without it."""
        b, n = len(now), self.streams.num_patches
        if b < 2:
            raise BadInput("batch: objective=jepa compares pictures; give two pairs at least for each forward pass (batch / micro_batches)")
        hidden = torch.rand(b, n, generator=generator, device=now.device) < self.hidden
        wanted = self.look(now, later)
        said = self.predictor(self.look(before, now, hidden).values)
        with torch.autocast(now.device.type, enabled=False):
            error = (said.float() - wanted.values.float()).square()
            of_patches, of_cls = error[:, 1:].mean(), error[:, 0].mean()
            normal_patches = sigreg(beside_means(wanted.placed).flatten(0, 1), self.slices, generator)
            normal_cls = sigreg(wanted.pooled[:, 0], self.slices, generator)
        if self.training:
            self.seen = wanted.values.detach()
        figures = {"loss_patches": of_patches, "loss_cls": of_cls, "sigreg_patches": normal_patches, "sigreg_cls": normal_cls}
        terms = {"prediction": of_patches + of_cls, "sigreg": self.sigreg * (normal_patches + normal_cls)}
        return terms, {name: value.item() for name, value in figures.items()}

    def wrong(self) -> list[str]:
        if not self.teaches_cls or self.seen is None:
            return []
        parts = {"fused": self.seen[:, 1:]} | ({"CLS": self.seen[:, :1]} if len(self.seen) >= FEW else {})
        return [line for name, part in parts.items() if (line := collapse(part, name)) is not None]

    @torch.no_grad()
    def assess(
        self, before: Float[Tensor, "b 3 h w"], now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[dict[str, float], None]:
        """Effective ranks; and the error of predicted patches with nothing hidden, as a share of their variance, beside that of saying that nothing changes."""
        first, wanted = self.look(before, now), self.look(now, later)
        variance = wanted.placed.float().var((0, 1)).sum().clamp(min=1e-12)
        said = Tokens(self.predictor(first.values), first.positions)

        def error(of: Tokens) -> float:
            return float((of.placed.float() - wanted.placed.float()).square().mean((0, 1)).sum() / variance)

        ranks = {"rank_cls": effective_rank(wanted.pooled), "rank_patches": effective_rank(wanted.placed, most=1024)}
        return ranks | {"error_patches": error(said), "error_unchanged": error(first)}, None
