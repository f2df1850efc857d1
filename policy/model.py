"""The whole way from frames to actions. Read this first.

frames ─► M and P channels ─► two streams ─► encoder (fusion, aggregation) ─► reader ─► head ─► chunk of actions
                 └────────── (CNN encoders) ────────┘               ▲          ▲         ▲
instruction ─► words, which join them ──────────────────────────────┴──────────┤         │
proprio ───────────────────────────────────────────────────────────────────────┘         │
noise, for heads that draw ──────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from policy.channels import pair_channels
from policy.config import PolicyConfig
from policy.encoders import ENCODERS
from policy.heads import HEADS
from policy.heads.decoder import Decoder, count
from policy.heads.reader import WIDTH, Reader
from policy.joins import JOINS
from policy.joins.join import Join, Sizes
from policy.language import LANGUAGES
from policy.shapes import Channels, Prediction, Reading, StreamTokens, Words
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput, about
from whatwhere.named import named


class Policy(nn.Module):
    """Frames, proprio (normalised) and instruction → a chunk of actions (normalised). Built by `build`."""

    def __init__(
        self, config: PolicyConfig, streams: TwoStreamEncoder | None, encoder: Any, joins: list[Join], reader: Reader, head: Decoder
    ) -> None:
        super().__init__()
        self.config = config
        self.streams = streams
        self.encoder = encoder
        self.language = named("language", config.language, LANGUAGES)(config)
        self.joins = nn.ModuleList(joins)
        self.reader = reader
        self.head = head
        if self.streams is not None and config.frozen_streams:
            self.streams.requires_grad_(False)
        self._still_known: tuple[Any, tuple[Tensor, Tensor]] | None = None
        self.train()

    def forward(
        self,
        frames: Shaped[Tensor, "b c 2 h w 3"],
        proprio: Float[Tensor, "b s"],
        task: Shaped[Tensor, "b ..."] | Words,
        moved: Tensor | None = None,
        noise: Float[Tensor, "b z"] | None = None,
    ) -> Float[Tensor, "b k a"]:
        return self.predict(frames, proprio, task, moved, noise).actions

    def predict(
        self,
        frames: Shaped[Tensor, "b c 2 h w 3"],
        proprio: Float[Tensor, "b s"],
        task: Shaped[Tensor, "b ..."] | Words,
        moved: Tensor | None = None,
        noise: Float[Tensor, "b z"] | None = None,
    ) -> Prediction:
        """Actions and where the reader looked. `frames` uint8 or float in [0, 1]; `task`: instructions as `language.code` gives them, or as words already.

        `moved` (b, 2): how far to the right and down (x, y in [-1, 1]) what is seen lay before training's random shift, which is to teach that
        things look the same elsewhere, not that they are elsewhere. `noise`: `head.noise` standard normal numbers, where the head draws.
        """
        return self.decide(self.look(frames), proprio, task, moved, noise)

    def look(self, frames: Shaped[Tensor, "b c 2 h w 3"]) -> StreamTokens | Channels:
        """What the encoder gets to see of the pictures, (b, c, …)."""
        channels = pair_channels(frames, self.config.change)  # m (b, c, 4, h, w), p (b, c, 5, h, w)
        kept = self._kept(len(frames), frames.device)
        if kept is not None:
            channels = Channels(channels.m * kept[:, None, None, None, None], channels.p)
        return channels if self.streams is None else self.see(channels)

    def see(self, channels: Channels) -> StreamTokens:
        """Channels of (b, c) pictures → stream tokens (b, c, …): the part that is cached when the streams are frozen."""
        assert self.streams is not None
        b, c = channels.m.shape[:2]
        with torch.no_grad() if self.config.frozen_streams else contextlib.nullcontext():
            tokens = self.streams(channels.m.flatten(0, 1), channels.p.flatten(0, 1))
        return tokens.map(lambda x: x.unflatten(0, (b, c)))

    def recall(self, tokens: StreamTokens) -> StreamTokens:
        """As `look`, from cached stream tokens: m_cls, p_cls (b, c, d), m_patches, p_patches (b, c, n, d), any float type."""
        kept = self._kept(len(tokens.m_cls), tokens.m_cls.device)
        tokens = tokens.map(lambda x: x.float())
        return tokens if kept is None else self._without_change(tokens, kept)

    def read(self, seen: StreamTokens | Channels, proprio: Tensor, task: Tensor | Words, moved: Tensor | None = None) -> Reading:
        """What was seen, (b, c, …) → the features that the head decodes."""
        words = self.words(task)
        tokens = [self.encoder(_camera(seen, i)) for i in range(len(self.config.cameras))]  # Tokens (b, t, d) a camera
        if moved is not None:
            tokens = [camera.moved(moved) for camera in tokens]
        joins: list[Any] = list(self.joins)
        tokens = [join(camera, words) for join, camera in zip(joins, tokens, strict=True)]
        return self.reader(tokens, proprio, words.pooled, joins, words)

    def words(self, task: Shaped[Tensor, "b ..."] | Words) -> Words:
        """What instructions say; an agent asks once an episode."""
        return task if isinstance(task, Words) else self.language(task)

    def decide(
        self, seen: StreamTokens | Channels, proprio: Tensor, task: Tensor | Words, moved: Tensor | None = None, noise: Tensor | None = None
    ) -> Prediction:
        """What was seen, (b, c, …) → actions. Raises BadInput where the head draws and has no noise to draw from."""
        if self.head.noise and noise is None:
            raise BadInput(f"noise: missing; head={self.config.head} needs {self.head.noise} standard normal numbers for each answer")
        reading = self.read(seen, proprio, task, moved)
        return Prediction(self.head(reading.features, noise), reading.keypoints, reading.attention)

    def forward_tokens(
        self,
        tokens: StreamTokens,
        proprio: Float[Tensor, "b s"],
        task: Shaped[Tensor, "b ..."] | Words,
        moved: Tensor | None = None,
        noise: Float[Tensor, "b z"] | None = None,
    ) -> Float[Tensor, "b k a"]:
        """As `forward`, from cached stream tokens."""
        return self.decide(self.recall(tokens), proprio, task, moved, noise).actions

    def _kept(self, b: int, device: torch.device) -> Bool[Tensor, " b"] | None:
        """Which samples see what changed; None for all: M dropout is for training."""
        if not (self.training and self.config.m_dropout):
            return None
        return torch.rand(b, device=device) >= self.config.m_dropout

    def _without_change(self, tokens: StreamTokens, kept: Tensor) -> StreamTokens:
        """A dropped sample gets what the M stream says about two equal frames: a state that occurs, unlike zeros."""
        cls, patches = self._still()
        m_cls = torch.where(kept[:, None, None], tokens.m_cls, cls[:, None])
        m_patches = torch.where(kept[:, None, None, None], tokens.m_patches, patches[:, None])
        return StreamTokens(m_cls, m_patches, tokens.p_cls, tokens.p_patches)

    def _still(self) -> tuple[Tensor, Tensor]:
        """`streams.still()`; of frozen streams it is computed once, since it takes as long as a twentieth of a training step."""
        assert self.streams is not None
        device = next(self.streams.parameters()).device
        way = (device, torch.is_autocast_enabled(device.type))
        if self._still_known is None or self._still_known[0] != way or not self.config.frozen_streams:
            with torch.no_grad():
                self._still_known = (way, self.streams.still())
        return self._still_known[1]

    def train(self, mode: bool = True) -> Policy:
        super().train(mode)
        if self.streams is not None and self.config.frozen_streams:
            self.streams.eval()
        return self


def _camera(seen: StreamTokens | Channels, i: int) -> StreamTokens | Channels:
    return Channels(seen.m[:, i], seen.p[:, i]) if isinstance(seen, Channels) else seen.map(lambda x: x[:, i])


def build(config: PolicyConfig, streams: TwoStreamEncoder | None = None) -> Policy:
    """A policy with random head and aggregation, over the given streams or, without them, over random ones.

    Raises BadInput if `streams` have other sizes than the config says, or `head_parameters` are too few.
    """
    if config.uses_streams:
        streams = build_streams(config) if streams is None else streams
        encoder = named("encoder", config.encoder, ENCODERS)(config, streams.dim, streams.grid)
    else:
        streams = None
        encoder = named("encoder", config.encoder, ENCODERS)(config)
    sizes = Sizes(encoder.dim, encoder.grid, encoder.num_pooled, encoder.num_grids, config.task_dim, WIDTH, config.keypoints)
    joins = [named("join", config.join, JOINS)(sizes) for _ in config.cameras]
    reader = Reader(
        dim=joins[0].dim,
        grid=encoder.grid,
        num_pooled=joins[0].num_pooled,
        num_grids=joins[0].num_grids,
        cameras=len(config.cameras),
        proprio_dim=config.proprio_dim,
        task_dim=config.task_dim,
        keypoints=config.keypoints,
        proprio_dropout=config.proprio_dropout,
        extra=joins[0].extra,
    )
    taken = count(reader)
    with about(f"head_parameters={config.head_parameters}: too few; {config.keypoints} keypoints on {len(config.cameras)} cameras take {taken}"):
        head = named("head", config.head, HEADS)(reader.dim, config.chunk, config.action_dim, config.head_parameters - taken, binary=config.binary)
    return Policy(config, streams, encoder, joins, reader, head)


def build_streams(config: PolicyConfig) -> TwoStreamEncoder:
    """Random streams of the config's sizes."""
    s = config.streams
    return TwoStreamEncoder(config.size, s.patch, s.dim, s.depth, s.heads, s.stem)
