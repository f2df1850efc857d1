"""The whole way from frames to actions. Read this first.

frames ─► M and P channels ─► two streams ─► encoder (fusion, aggregation) ─► reader ─► head ─► chunk of actions
                 └────────── (CNN encoders) ────────┘               ▲          ▲         ▲
instruction ─► words, which join them ──────────────────────────────┴──────────┤         │
proprio ───────────────────────────────────────────────────────────────────────┘         │
noise, for heads that draw ──────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from policy.ablation import unseen
from policy.channels import pair_channels
from policy.config import PolicyConfig
from policy.dark import darkened, drawn_dark
from policy.encoders import ENCODERS
from policy.heads import HEADS
from policy.heads.decoder import Decoder, count
from policy.heads.grid import WIDTH
from policy.heads.reader import Reader
from policy.joins import ATTENDING, JOINS
from policy.joins.join import Join, Sizes
from policy.language import LANGUAGES
from policy.memory.recurrent import Recurrent
from policy.shapes import Attended, Channels, Prediction, Reading, StreamTokens, Tokens, Words
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput, about
from whatwhere.named import named


class Policy(nn.Module):
    """Frames, proprio (normalised) and instruction → a chunk of actions (normalised). Built by `build`."""

    def __init__(self, config: PolicyConfig, streams: TwoStreamEncoder | None, encoder: Any, joins: list[Join], reader: Reader, head: Decoder) -> None:
        super().__init__()
        self.config = config
        self.streams = streams
        self.encoder = encoder
        self.language = named("language", config.language, LANGUAGES)(config)
        self.joins = nn.ModuleList(joins)
        self.reader = reader
        self.memory = Recurrent(reader.dim) if config.memory else None
        self.past: Tensor | None = None  # features of earlier moments (b, n, f), while it is asked (`remembering`)
        self.attended_to: list[list[Attended]] | None = None  # what `attended` says of the last answer, while it is asked (`attending`)
        self.head = head
        if self.streams is not None and config.frozen_streams:
            self.streams.requires_grad_(False)
        self.unseen = unseen(config.streams_used)  # streams of which it gets what they say of nothing: of equal frames, or of a grey picture
        self._known: dict[str, tuple[Any, tuple[Tensor, Tensor]]] = {}
        self._black: tuple[Any, StreamTokens] | None = None
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
        if (dark := self._dark(len(frames), frames.device)) is not None:
            frames = frames * ~dark[:, :, None, None, None, None]
        channels = pair_channels(frames, self.config.change)  # m (b, c, 4, h, w), p (b, c, 5, h, w)
        kept = self._kept(len(frames), frames.device)
        if kept is not None:
            channels = Channels(channels.m * kept[:, None, None, None, None], channels.p)
        if self.streams is not None:
            return self.see(channels) if not self.unseen else self._see_some(channels)
        return Channels(*(x * (name not in self.unseen) for name, x in (("m", channels.m), ("p", channels.p)))) if self.unseen else channels

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
        if (dark := self._dark(len(tokens.m_cls), tokens.m_cls.device)) is not None:
            tokens = darkened(tokens, dark, self.of_black())
        tokens = tokens if kept is None else self._without_change(tokens, kept)
        return self._hidden(tokens) if self.unseen else tokens

    @contextlib.contextmanager
    def without(self, *streams: str) -> Iterator[None]:
        """For so long it does not see `streams` (m, p) either, but gets what they say of equal frames, or of a grey picture."""
        before, self.unseen = self.unseen, self.unseen | set(streams)
        try:
            yield
        finally:
            self.unseen = before

    @contextlib.contextmanager
    def remembering(self, past: Float[Tensor, "b n f"] | None) -> Iterator[None]:
        """For so long these are the features of earlier moments, oldest first; None: the present ones, as when an episode begins."""
        self.past = past
        try:
            yield
        finally:
            self.past = None

    @contextlib.contextmanager
    def attending(self) -> Iterator[list[list[Attended]]]:
        """For so long each answer leaves what `attended` says of it in the list that is given."""
        self.attended_to = []
        try:
            yield self.attended_to
        finally:
            self.attended_to = None

    def read(self, seen: StreamTokens | Channels, proprio: Tensor, task: Tensor | Words, moved: Tensor | None = None) -> Reading:
        """What was seen, (b, c, …) → the features that the head decodes."""
        words, joins = self.words(task), list[Any](self.joins)
        tokens = [join(camera, words) for join, camera in zip(joins, self.tokens(seen, moved), strict=True)]
        if self.attended_to is not None:
            self.attended_to[:] = self.attended(seen, words, moved)
        if not self.head.sees_own:
            return self.reader(tokens, proprio, words.pooled, joins, words)
        given = proprio, words.pooled
        if self.config.change == "future":  # an inverse model's code is of the change alone, whoever wanted it
            given = torch.zeros_like(proprio), torch.zeros_like(words.pooled)
        reading = self.reader(tokens, *given, joins, words)
        return replace(reading, features=torch.cat([reading.features, proprio], dim=-1))

    @property
    def attends(self) -> bool:
        """Whether words and patches attend to each other in its joins."""
        return self.config.join in ATTENDING and self.encoder.num_grids > 0

    def attended(self, seen: StreamTokens | Channels, task: Tensor | Words, moved: Tensor | None = None) -> list[list[Attended]]:
        """For each camera, where words and tokens attend in what was seen, (b, c, …): see `policy.joins.join.Join.attended`."""
        words, found = self.words(task), []
        for join, reader, camera in zip(list[Any](self.joins), self.reader.cameras, self.tokens(seen, moved), strict=True):
            looked = reader(join(camera, words), join, words)[2] if self.attends else None
            found.append(join.attended(camera, words, looked))
        return found

    def point(self, seen: StreamTokens | Channels, task: Tensor | Words, moved: Tensor | None = None) -> Float[Tensor, "b c f"]:
        """What joins that find things by themselves (join=similarity) find in what was seen, (b, c, …): all that the reader gets of it."""
        words, joins = self.words(task), list[Any](self.joins)
        return torch.stack([join.point(camera, words).features for join, camera in zip(joins, self.tokens(seen, moved), strict=True)], dim=1)

    def tokens(self, seen: StreamTokens | Channels, moved: Tensor | None = None) -> list[Tokens]:
        """What was seen, (b, c, …) → the tokens of each camera, (b, t, d), before any word joins them."""
        each = [self.encoder(_camera(seen, i)) for i in range(len(self.config.cameras))]
        return each if moved is None else [camera.moved(moved) for camera in each]

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
        if self.memory is None:
            return Prediction(self.head(reading.features, noise), reading.keypoints, reading.attention)
        now = reading.features[:, None]  # (b, 1, f)
        past = now.expand(-1, self.config.memory - 1, -1) if self.past is None else self.past
        features = self.memory(torch.cat([past, now], dim=1))
        return Prediction(self.head(features, noise), reading.keypoints, reading.attention, reading.features)

    def _kept(self, b: int, device: torch.device) -> Bool[Tensor, " b"] | None:
        """Which samples see what changed; None for all: M dropout is for training."""
        if not (self.training and self.config.m_dropout) or self.config.streams_used != "both":  # one stream alone is never hidden
            return None
        return torch.rand(b, device=device) >= self.config.m_dropout

    def _dark(self, b: int, device: torch.device) -> Bool[Tensor, "b c"] | None:
        """Which cameras' pictures are black, at most one a sample; None for none: camera dropout is for training."""
        return drawn_dark(b, len(self.config.cameras), self.config.camera_dropout, device) if self.training and self.config.camera_dropout else None

    def of_black(self) -> StreamTokens:
        """What the streams say of a black picture that does not change, (1, 1, …); of frozen streams it is computed once."""
        assert self.streams is not None
        device = next(self.streams.parameters()).device
        way = (device, torch.is_autocast_enabled(device.type))
        if self._black is None or self._black[0] != way or not self.config.frozen_streams:
            black = torch.zeros(1, 1, 2, self.config.size, self.config.size, 3, device=device)
            self._black = way, self.see(pair_channels(black)).map(Tensor.detach)
        return self._black[1]

    def _without_change(self, tokens: StreamTokens, kept: Tensor) -> StreamTokens:
        """A dropped sample gets what the M stream says about two equal frames: a state that occurs, unlike zeros."""
        cls, patches = self.of_nothing("m")
        m_cls = torch.where(kept[:, None, None], tokens.m_cls, cls[:, None])
        m_patches = torch.where(kept[:, None, None, None], tokens.m_patches, patches[:, None])
        return StreamTokens(m_cls, m_patches, tokens.p_cls, tokens.p_patches)

    def _see_some(self, channels: Channels) -> StreamTokens:
        """As `see`, without computing what is unseen."""
        assert self.streams is not None
        b, c = channels.m.shape[:2]
        found: list[Tensor] = []
        for name, encoder, given in (("m", self.streams.encoder_m, channels.m), ("p", self.streams.encoder_p, channels.p)):
            if name in self.unseen:
                cls, patches = self.of_nothing(name)
                found += [cls.expand(b, c, -1), patches.expand(b, c, -1, -1)]
                continue
            with torch.no_grad() if self.config.frozen_streams else contextlib.nullcontext():
                tokens = encoder.forward_features(given.flatten(0, 1)).unflatten(0, (b, c))
            found += [tokens[:, :, 0], tokens[:, :, 1:]]
        return StreamTokens(*found)

    def _hidden(self, tokens: StreamTokens) -> StreamTokens:
        """The tokens with those of unseen streams replaced."""
        found = {"m": (tokens.m_cls, tokens.m_patches), "p": (tokens.p_cls, tokens.p_patches)}
        for name in self.unseen:
            found[name] = tuple(said[None].expand_as(there) for said, there in zip(self.of_nothing(name), found[name], strict=True))  # type: ignore[assignment]
        return StreamTokens(*found["m"], *found["p"])

    def of_nothing(self, stream: str) -> tuple[Tensor, Tensor]:
        """`streams.still()` (m) or `.grey()` (p); of frozen streams it is computed once, since it takes as long as a twentieth of a training step."""
        assert self.streams is not None
        device = next(self.streams.parameters()).device
        way = (device, torch.is_autocast_enabled(device.type))
        if stream not in self._known or self._known[stream][0] != way or not self.config.frozen_streams:
            with torch.no_grad():
                self._known[stream] = (way, self.streams.still() if stream == "m" else self.streams.grey())
        return self._known[stream][1]

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
        proprio_dim=config.own_dim,
        task_dim=config.task_dim,
        keypoints=config.keypoints,
        proprio_dropout=config.proprio_dropout,
        extra=joins[0].extra,
    )
    taken = count(reader)
    with about(f"head_parameters={config.head_parameters}: too few; {config.keypoints} keypoints on {len(config.cameras)} cameras take {taken}"):
        of: type[Decoder] = named("head", config.head, HEADS)
        beside: dict[str, Any] = {"own": config.own_dim} if of.sees_own else {}
        head = of(reader.dim, config.chunk, config.action_dim, config.head_parameters - taken, binary=config.binary, **beside)  # type: ignore[call-arg]
    return Policy(config, streams, encoder, joins, reader, head)


def build_streams(config: PolicyConfig) -> TwoStreamEncoder:
    """Random streams of the config's sizes."""
    s = config.streams
    return TwoStreamEncoder(config.size, s.patch, s.dim, s.depth, s.heads, s.stem)
