"""Every choice that makes a policy's shape: what `build` needs and what `config.json` of a checkpoint keeps. Imports no torch."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

from policy.ablation import USED
from policy.encoders import ENCODERS, FROM_SCRATCH
from policy.fusion import CLS_FUSIONS, FUSIONS, SHARINGS
from policy.heads import EARLIER_NAMES, HEADS
from policy.joins import JOINS, UNNAMED_JOIN
from policy.language import LANGUAGES, UNNAMED_LANGUAGE, WITH_VOCABULARY
from policy.late import check_late, sizes
from policy.memory import check_memory
from whatwhere.errors import BadInput, choose, shown

AHEAD = 8  # control steps
MOST_CAMERAS = 16
MOST_WORDS = 10_000  # of a vocabulary
MOST_WEIGHTS = 1_000_000_000  # of all blocks; a policy that looks twenty times a second is far from it
MOST = {  # of what a file may ask for, so that none asks for hours or for all memory
    "size": 1024, "frame_gap": 1000, "chunk": 1000, "execute": 1000, "action_dim": 1000, "proprio_dim": 4096, "task_dim": 4096, "keypoints": 1024,
    "head_parameters": 100_000_000, "sentence_dim": 16_384, "ahead": 1000,
}  # fmt: skip


# settings that files of earlier versions do not have, and later ones only where they were chosen
ADDED = (
    "language", "join", "vocabulary", "names", "sentence_encoder", "sentence_sha256", "sentence_dim", "latency", "action_latency", "history", "streams_used",
    "ahead", "camera_dropout", "memory",
)  # fmt: skip
MOST_OF_STREAMS = {"patch": 64, "dim": 4096, "depth": 64, "heads": 64}


def _within(field: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise BadInput(f"{field}={shown(value)}: must be 1 to {most}")


@dataclass(frozen=True)
class StreamsConfig:
    """Sizes of the two streams (policy.streams.TwoStreamEncoder)."""

    patch: int = 8
    dim: int = 128
    depth: int = 4
    heads: int = 4
    stem: str = "conv"

    def __post_init__(self) -> None:
        for name, most in MOST_OF_STREAMS.items():
            _within(f"streams.{name}", getattr(self, name), most)
        choose("streams.stem", self.stem, ("conv", "patch"))
        if self.block_weights > MOST_WEIGHTS:
            raise BadInput(f"streams.depth={self.depth}, streams.dim={self.dim}: make {self.block_weights:.1e} weights; at most {MOST_WEIGHTS:.0e}")

    @property
    def block_weights(self) -> int:
        """The weights of the matrices in the blocks of both."""
        return 24 * self.depth * self.dim**2


@dataclass(frozen=True)
class PolicyConfig:
    """Raises BadInput for a value that is not valid. `PolicyConfig.from_dict(config.to_dict()) == config`, through JSON too."""

    encoder: str = "pixelwise"
    fusion: str = "linear"  # of patches, for encoder=pixelwise
    cls_fusion: str = "linear"
    sharing: str = "separate"
    head: str = "l1"
    binary: tuple[tuple[int, float, float], ...] = ()  # (number, lower, higher value) of numbers of an action with two values in the demonstrations
    cameras: tuple[str, ...] = ("agentview", "robot0_eye_in_hand")
    size: int = 96  # pixels, square
    frame_gap: int = 4  # control steps between the two frames of a pair
    change: str = "past"  # see policy.channels.pair_channels
    chunk: int = 8  # actions predicted at once
    execute: int = 1  # of these executed before the next query; asking at every step was best on development starts (docs/lab.md)
    action_dim: int = 7
    proprio_dim: int = 9
    task_dim: int = 16  # numbers of a word, and of the whole instruction, which reach the head
    keypoints: int = 32  # a camera
    head_parameters: int = 600_000  # of reader and head; the head's hidden width is chosen for them, so that tables compare what is of one size
    m_dropout: float = 0.0  # share of training samples that see no change
    memory: int = 0  # moments, frame_gap control steps apart, whose features it remembers, the present one among them (policy.memory); 0: none
    camera_dropout: float = 0.0  # share of training samples in which one camera's picture is black
    proprio_dropout: float = 0.0  # share of proprio's numbers that training hides, each by itself
    frozen_streams: bool = True
    latency: int = 0  # control steps by which the pictures it was trained for are late
    action_latency: int = 0  # by which its actions are carried out late
    history: tuple[str, ...] = ()  # what it is told of the robot since (policy.history)
    streams_used: str = "both"  # m or p: it never sees the other one (policy.ablation)
    ahead: int = AHEAD  # of head=planned: control steps to the end of the change that it plans
    streams: StreamsConfig = field(default_factory=StreamsConfig)
    language: str = UNNAMED_LANGUAGE
    join: str = UNNAMED_JOIN
    vocabulary: tuple[str, ...] = ()  # of languages that have one
    names: tuple[str, ...] = ()  # of language=aligned: the words of its vocabulary that name things
    sentence_encoder: str = ""  # of language=sentence: a package or a folder
    sentence_sha256: str = ""  # of its weights
    sentence_dim: int = 384  # numbers of its word pieces

    def __post_init__(self) -> None:
        choose("encoder", self.encoder, ENCODERS)
        choose("fusion", self.fusion, FUSIONS)
        choose("cls_fusion", self.cls_fusion, CLS_FUSIONS)
        choose("sharing", self.sharing, SHARINGS)
        choose("head", self.head, HEADS)
        choose("language", self.language, LANGUAGES)
        choose("join", self.join, JOINS)
        choose("streams_used", self.streams_used, USED)
        choose("change", self.change, ("past", "future"))
        if self.sharing == "shared" and self.cls_fusion != self.fusion:
            raise BadInput(f"cls_fusion={self.cls_fusion}: sharing=shared has one module for CLS and patches; set cls_fusion={self.fusion} too")
        if not 1 <= len(self.cameras) <= MOST_CAMERAS or len(set(self.cameras)) != len(self.cameras):
            raise BadInput(f"cameras={shown(list(self.cameras))}: needs 1 to {MOST_CAMERAS} different camera names")
        for name, most in MOST.items():
            _within(name, getattr(self, name), most)
        if self.execute > self.chunk:
            raise BadInput(f"execute={self.execute}: must be 1 to {self.chunk}, the policy's chunk")
        for name in ("m_dropout", "camera_dropout", "proprio_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: must be at least 0 and less than 1")
        if self.camera_dropout and len(self.cameras) < 2:
            raise BadInput(f"camera_dropout={self.camera_dropout}: hides one of several cameras; there is one")
        self._check_binary()
        check_memory(self.memory, self.frame_gap, self.execute, self.head)
        check_late(self.history, self.latency, self.action_latency, self.execute)
        self._check_language()
        if self.uses_streams and self.size % self.streams.patch:
            raise BadInput(f"size={self.size}: must be a multiple of streams.patch={self.streams.patch}")

    def _check_binary(self) -> None:
        numbers = [number for number, _, _ in self.binary]
        if len(set(numbers)) != len(numbers) or not all(0 <= number < self.action_dim for number in numbers):
            raise BadInput(f"binary={shown(numbers)}: must be different numbers of an action, from 0 to {self.action_dim - 1}")
        if not all(-math.inf < low < high < math.inf for _, low, high in self.binary):
            raise BadInput(f"binary={shown(self.binary)}: each needs two values, the lower one first")

    def _check_language(self) -> None:
        if self.language in WITH_VOCABULARY:
            if not 1 <= len(self.vocabulary) <= MOST_WORDS:
                found = "empty" if not self.vocabulary else f"{len(self.vocabulary)} words"
                raise BadInput(f"vocabulary: {found}; language={self.language} needs 1 to {MOST_WORDS} words")
            if twice := [word for word, again in itertools.pairwise(sorted(self.vocabulary)) if word == again]:
                raise BadInput(f"vocabulary: {shown(twice[0])} is in it twice")
            if unknown := [word for word in self.names if word not in self.vocabulary]:
                raise BadInput(f"names: {shown(unknown[0])} is not in the vocabulary")
            if self.task_dim % 4:
                raise BadInput(f"task_dim={self.task_dim}: must be a multiple of 4, since attention between words has 4 heads")
        if self.language == "sentence" and not self.sentence_encoder:
            raise BadInput("sentence_encoder: missing; language=sentence needs a package or a folder")

    @property
    def uses_streams(self) -> bool:
        return self.encoder not in FROM_SCRATCH

    @property
    def own_dim(self) -> int:
        """How many numbers the policy is given of the robot itself: proprio, and its history beside it."""
        return self.proprio_dim + sizes(self.history, self.proprio_dim, self.action_dim, self.latency + self.action_latency)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; of what was added later only what is not as it was before, so that files of earlier versions stay as they are."""
        values = dataclasses.asdict(self)
        for name in ADDED:
            if values[name] == getattr(PolicyConfig, name):
                del values[name]
        lists = {name: list(getattr(self, name)) for name in ("history", "vocabulary", "names") if getattr(self, name)}
        return values | lists | {"cameras": list(self.cameras), "binary": [list(row) for row in self.binary]}

    @staticmethod
    def from_dict(values: dict[str, Any], where: str = "policy") -> PolicyConfig:
        """From what a file says. Raises BadInput, beginning with `where`, for unknown keys, wrong types and bad values."""
        from whatwhere.schema import made  # imported where a file is read

        if isinstance(values, dict) and isinstance(head := values.get("head"), str):
            values = values | {"head": EARLIER_NAMES.get(head, head)}
        return made(values, PolicyConfig, where)
