"""Video prediction with a U-Net decoder (spec A6): frame t+k from the change embedding, the pixel-wise embedding and an image encoder of frame t.

P(t) + ΔRGB *is* frame t+k, so with all of M in view this is a copy: its figure is called *reconstruction*. What is trained cannot copy: most
patches of M are hidden before fusion, so what moved must be told from the few that are left and from the change embedding's numbers. Its figure is
called *prediction*. And because an image encoder that sees frame t would spare P the work, static samples and a share of the video are decoded
without it: there P must carry the scene.

Beside the decoder, which may take tokens of any kind apart, a linear map of each token must tell what colours lie where in its patch: of P's in frame t,
of fused ones in both frames (`colour_words`). That puts *where* into tokens in the form in which a head can read it.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from policy.channels import m_channels, p_channels
from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.colour_words import WORDS, colour_words
from policy.pretrain.hiding import without_cls, without_patches
from policy.pretrain.kept_decoder import save_decoder
from policy.pretrain.objective import Objective
from policy.pretrain.perceptual import Perceptual, pretrained_features
from policy.pretrain.picture_decoder import PictureDecoder
from policy.shapes import StreamTokens, Tokens
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput

MOVING = 8 / 255  # a pixel that changes by more, in any colour, moves
MOVING_WEIGHT = 4.0  # extra: few pixels move, and without it the still background is all that is learnt
COLOUR_WEIGHT = 5.0  # of what is left beside luminance: small, and it tells objects apart
EDGES_WEIGHT = 0.5
RARE = 1e-3  # least variance of a word: rare colours count, those that are nowhere do not


class VideoPrediction(Objective):
    """Streams, fusion, image encoder and decoder. Only streams and fusion are kept (spec A20).

    hidden: share of M's patches that the prediction does not see. unknown: share of samples that see nothing of M, not even its CLS: what can be
    said without change. blind: share of moving samples decoded without the image encoder (static ones always are); with 1 there is none.
    words: weight of the colour words, an error of 1 being that of always predicting the mean. perceptual: weight of the perceptual distance.
    image_encoder: a timm model, from random weights or from `image_weights` (.safetensors). cls_fusion: how CLS of M and P are joined (spec A4).
    Raises BadInput.
    """

    def __init__(
        self,
        streams: TwoStreamEncoder,
        hidden: float = 0.75,
        unknown: float = 0.1,
        blind: float = 0.5,
        words: float = 0.5,
        perceptual: float = 0.1,
        image_encoder: str = "resnet10t",
        image_weights: str | None = None,
        perceptual_network: str | None = None,
        perceptual_weights: str | None = None,
        cls_fusion: str = "linear",
    ) -> None:
        super().__init__()
        for name, value in (("hidden", hidden), ("unknown", unknown), ("blind", blind)):
            if not 0 <= value <= 1:
                raise BadInput(f"objective.{name}={value}: must lie in 0…1")
        for name, value in (("words", words), ("perceptual", perceptual)):
            if not value >= 0:
                raise BadInput(f"objective.{name}={value}: must be at least 0")
        self.streams, self.hidden, self.unknown, self.blind, self.words, self.perceptual = streams, hidden, unknown, blind, words, perceptual
        self.fusion = PixelwiseFusion(streams.dim, streams.grid, "linear", cls_fusion, "separate")
        self.mask = nn.Parameter(torch.zeros(streams.dim))
        self.cls_mask = nn.Parameter(torch.zeros(streams.dim))
        patch = streams.size // streams.grid[0]
        scales = tuple(range(patch.bit_length() - 1))  # strides 2, 4, … patch: those of the decoder
        self.image_encoder, self.encoder_name = (_image_encoder(image_encoder, image_weights, scales), image_encoder) if blind < 1 else (None, None)
        # fine to coarse as timm gives them; the decoder takes them coarse to fine, beginning at the grid's scale
        channels = list(self.image_encoder.feature_info.channels())[::-1] if self.image_encoder is not None else []  # type: ignore[union-attr]
        self.decoder = PictureDecoder(streams.dim, streams.grid, patch, channels)
        self.say_p, self.say_fused = nn.Linear(streams.dim, WORDS), nn.Linear(streams.dim, 2 * WORDS)
        for say in (self.say_p, self.say_fused):
            nn.init.zeros_(say.weight)
            nn.init.zeros_(say.bias)
        self.distance = Perceptual(perceptual_network, perceptual_weights)

    def forward(
        self, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float], Float[Tensor, "b 3 h w"]]:
        """Loss, figures to log, and the prediction. Frames in [0, 1]; P is always taken from the earlier frame (change=future)."""
        return self.learn(self.streams(m_channels(now, later), p_channels(now)), now, later, generator)

    def learn(
        self, tokens: StreamTokens, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float], Float[Tensor, "b 3 h w"]]:
        """As `forward`, of what the streams said."""
        terms, figures, picture = self.learn_in_parts(tokens, now, later, generator)
        loss = terms["pictures"] + terms["perceptual"] + terms["words"]
        return loss, {"loss": loss.item()} | figures, picture

    def terms(self, now: Tensor, later: Tensor, generator: torch.Generator) -> dict[str, Tensor]:  # type: ignore[override]
        return self.learn_in_parts(self.streams(m_channels(now, later), p_channels(now)), now, later, generator)[0]

    def learn_in_parts(
        self, tokens: StreamTokens, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[dict[str, Tensor], dict[str, float], Float[Tensor, "b 3 h w"]]:
        """Weighted terms of the loss, figures without it, and the prediction."""
        b, n = len(now), self.streams.num_patches
        draw = torch.rand(b, n + 2, generator=generator, device=now.device)
        unknown = draw[:, n] < self.unknown  # (b,)
        hidden = (draw[:, :n] < self.hidden) | unknown[:, None]  # (b, n)
        moves = (now != later).flatten(1).any(1)  # (b,)
        seen = (moves & (draw[:, n + 1] >= self.blind)).nonzero()[:, 0]
        fused = self.fuse(tokens, hidden, unknown)
        picture = self.decode(fused, now, seen)
        words_p, words_fused = self._words_error(self.say_p(tokens.p_patches), now), self._words_error(self.say_fused(fused.placed), now, later)
        distance, words = self.perceptual * self.distance(picture, later), self.words * (words_p + words_fused)
        terms = {"pictures": picture_loss(picture, later, now), "perceptual": distance, "words": words}
        known, blind = ~unknown, torch.ones(b, dtype=torch.bool, device=now.device).index_fill(0, seen, False)
        with torch.no_grad():
            figures = {
                "prediction_db": moving_db(picture, later, now, known),
                "blind_db": moving_db(picture, later, now, known & blind),
                "copy_db": moving_db(now, later, now, known),
                "words_p": words_p.item(),
                "words_fused": words_fused.item(),
            }
        return terms, figures, picture

    def fuse(self, tokens: StreamTokens, hidden: Bool[Tensor, "b n"], unknown: Bool[Tensor, " b"]) -> Tokens:
        """What is known without the `hidden` patches of M and, where `unknown`, without its CLS."""
        return self.fusion(without_cls(without_patches(tokens, hidden, self.mask), unknown, self.cls_mask))

    def decode(self, fused: Tokens, now: Tensor, seen: Tensor | None = None) -> Float[Tensor, "b 3 h w"]:
        """Frame t+k; the samples `seen` have the image encoder's help."""
        features: list[Tensor] = []
        if self.image_encoder is not None and seen is not None and len(seen):
            features = self.image_encoder(now[seen])[::-1]
        return self.decoder(fused.placed, fused.pooled[:, 0], features, seen if features else None)

    def _words_error(self, told: Float[Tensor, "b n words"], *pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Squared error over the variance of each word of the pictures: 1 for always predicting the mean."""
        true = torch.cat([colour_words(picture, self.streams.grid) for picture in pictures], -1)
        return ((told.float() - true).square() / true.var((0, 1)).clamp(min=RARE)).mean()

    @torch.no_grad()
    def assess(self, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator) -> tuple[dict[str, float], Tensor]:
        """dB on moving pixels for held-out pairs, and the blind prediction: each form beside copying frame t and beside the same decoder without change."""
        return self.judge(self.streams(m_channels(now, later), p_channels(now)), now, later, generator)

    def judge(self, tokens: StreamTokens, now: Tensor, later: Tensor, generator: torch.Generator) -> tuple[dict[str, float], Tensor]:
        """As `assess`, of what the streams said."""
        b, n = len(now), self.streams.num_patches
        none, every = (torch.full((b,), value, dtype=torch.bool, device=now.device) for value in (False, True))
        some = torch.rand(b, n, generator=generator, device=now.device) < self.hidden
        helped = torch.arange(b, device=now.device)
        forms = {
            "reconstruction_db": self.decode(self.fuse(tokens, some & False, none), now, helped),
            "prediction_db": self.decode(self.fuse(tokens, some, none), now, helped),
            "blind_prediction_db": self.decode(self.fuse(tokens, some, none), now),
            "without_change_db": self.decode(self.fuse(tokens, some | True, every), now, helped),
            "blind_without_change_db": self.decode(self.fuse(tokens, some | True, every), now),
            "copy_db": now,
        }
        return {name: moving_db(picture, later, now) for name, picture in forms.items()}, forms["blind_prediction_db"]

    def keep_beside(self, out: Path, streams_sha256: str) -> Path:
        """`out/decoder`: the decoder, and the image encoder if there is one. A tool for pictures; policies need none of it."""
        return save_decoder(out, self.decoder, self.image_encoder, self.encoder_name, self.streams, streams_sha256)


def _image_encoder(name: str, weights: str | None, scales: tuple[int, ...]) -> nn.Module:
    if weights is not None:
        return pretrained_features(name, weights, "objective.image_weights", scales)
    import timm

    if name not in timm.list_models():
        raise BadInput(f"objective.image_encoder={name}: timm has no model of this name; see timm.list_models()")
    return timm.create_model(name, features_only=True, out_indices=scales)


def picture_loss(picture: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], now: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
    """Squared error, more of it where something moves, in colour and at edges."""
    difference = picture - later
    colour = difference - difference.mean(1, keepdim=True)
    weighted = (difference.square() * (1 + MOVING_WEIGHT * moving(now, later))).mean()
    return weighted + COLOUR_WEIGHT * colour.square().mean() + EDGES_WEIGHT * _edges(difference)


def moving(now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """1 where a pixel changes by more than `MOVING` in any colour, else 0."""
    return ((later - now).abs().amax(1, keepdim=True) > MOVING).float()


def moving_db(picture: Tensor, later: Tensor, now: Tensor, of: Bool[Tensor, " b"] | None = None) -> float:
    """Peak signal-to-noise ratio in dB over the moving pixels of the samples `of` (all); nan where nothing moves."""
    where = moving(now, later) if of is None else moving(now, later) * of[:, None, None, None]
    count = float(where.sum()) * 3
    if not count:
        return float("nan")
    return float(-10 * torch.log10(((picture - later).square() * where).sum().clamp(min=1e-8) / count))


def _edges(difference: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean absolute error of the picture's gradients: blurred objects cost, so that edges (where things are) are kept."""
    return F.l1_loss(difference[..., 1:], difference[..., :-1]) + F.l1_loss(difference[..., 1:, :], difference[..., :-1, :])
