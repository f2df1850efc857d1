"""Every choice that makes a policy's shape: what `build` needs and what `config.json` of a checkpoint keeps. Imports no torch."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from typing import Any

from policy.encoders import ENCODERS, FROM_SCRATCH
from policy.fusion import CLS_FUSIONS, FUSIONS, SHARINGS
from policy.heads import HEADS
from whatwhere.errors import BadInput, choose, positive
from whatwhere.settings import typed


@dataclass(frozen=True)
class StreamsConfig:
    """Sizes of the two streams (policy.streams.TwoStreamEncoder)."""

    patch: int = 8
    dim: int = 128
    depth: int = 4
    heads: int = 4
    stem: str = "conv"

    def __post_init__(self) -> None:
        for name in ("patch", "dim", "depth", "heads"):
            positive(f"streams.{name}", getattr(self, name))
        choose("streams.stem", self.stem, ("conv", "patch"))


@dataclass(frozen=True)
class PolicyConfig:
    """Raises BadInput for a value that is not valid. `PolicyConfig.from_dict(config.to_dict()) == config`, through JSON too."""

    encoder: str = "pixelwise"
    fusion: str = "linear"  # of patches, for encoder=pixelwise
    cls_fusion: str = "linear"
    sharing: str = "separate"
    head: str = "keypoints"
    cameras: tuple[str, ...] = ("agentview", "robot0_eye_in_hand")
    size: int = 96  # pixels, square
    frame_gap: int = 4  # control steps between the two frames of a pair
    change: str = "past"  # see policy.channels.pair_channels
    chunk: int = 8  # actions predicted at once
    execute: int = 1  # of these executed before the next query; asking at every step was best on development starts (docs/lab.md)
    action_dim: int = 7
    proprio_dim: int = 9
    task_dim: int = 16  # task embedding that reaches the head
    keypoints: int = 32  # a camera
    head_parameters: int = 600_000  # what the head's hidden width is chosen for, the same for every encoder
    m_dropout: float = 0.0  # share of training samples that see no change
    proprio_dropout: float = 0.0  # share of training samples that see no proprio
    frozen_streams: bool = True
    streams: StreamsConfig = field(default_factory=StreamsConfig)

    def __post_init__(self) -> None:
        choose("encoder", self.encoder, ENCODERS)
        choose("fusion", self.fusion, FUSIONS)
        choose("cls_fusion", self.cls_fusion, CLS_FUSIONS)
        choose("sharing", self.sharing, SHARINGS)
        choose("head", self.head, HEADS)
        choose("change", self.change, ("past", "future"))
        if self.sharing == "shared" and self.cls_fusion != self.fusion:
            raise BadInput(f"cls_fusion={self.cls_fusion}: sharing=shared has one module for CLS and patches; set cls_fusion={self.fusion} too")
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise BadInput(f"cameras={list(self.cameras)}: needs one or more different camera names")
        for name in ("size", "frame_gap", "chunk", "execute", "action_dim", "proprio_dim", "task_dim", "keypoints", "head_parameters"):
            positive(name, getattr(self, name))
        if self.execute > self.chunk:
            raise BadInput(f"execute={self.execute}: must be 1 to {self.chunk}, the policy's chunk")
        for name in ("m_dropout", "proprio_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: must be at least 0 and less than 1")
        if self.uses_streams and self.size % self.streams.patch:
            raise BadInput(f"size={self.size}: must be a multiple of streams.patch={self.streams.patch}")

    @property
    def uses_streams(self) -> bool:
        return self.encoder not in FROM_SCRATCH

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = dataclasses.asdict(self)
        return values | {"cameras": list(self.cameras)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> PolicyConfig:
        """Raises BadInput for unknown keys, wrong types and bad values."""
        streams = values.get("streams", {})
        if not isinstance(streams, dict):
            raise BadInput(f"streams={streams}: needs a mapping of sizes")
        hints = typing.get_type_hints(PolicyConfig) | {"streams": Any}  # a record of its own, made here
        return typed(PolicyConfig, values | {"streams": typed(StreamsConfig, streams)}, hints)
