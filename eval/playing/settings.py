"""Every choice of an evaluation, checked before a simulator or torch is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass

from eval.playing.player import TRAINING_START
from eval.playing.policies import POLICIES
from whatwhere.errors import BadInput, choose, positive

SEED_LIMIT = 2**31
ALLOWED = ("rendering", TRAINING_START)


@dataclass(frozen=True)
class Settings:
    """What `eval/conf/run.yaml` describes. Raises BadInput for values that cannot be."""

    task: str
    encoder: str | None
    checkpoint: str | None
    policy: str
    execute: int | None
    episodes: int
    first: int
    seed: int
    num_envs: int
    video: int | str
    trajectories: bool
    out: str | None
    device: str
    rendering: str | None
    perturbation: str | None
    size: int | None
    timeout_s: float
    allow: list[str] | None
    expert: str | None = None
    inference: str = "auto"

    def __post_init__(self) -> None:
        from envs.catalogue import PERTURBATIONS, RENDERINGS
        from envs.experts import check_actor
        from policy.encoders import ENCODERS
        from policy.inference import EXPORTED, check_inference

        check_actor(self.task, self.policy, POLICIES, self.expert)
        if self.encoder is not None:
            choose("encoder", self.encoder, ENCODERS)
        if self.policy != "learned" and self.checkpoint is not None:
            raise BadInput(f"checkpoint={self.checkpoint}: policy={self.policy} has none; leave it out or use policy=learned")
        if self.policy != "learned" and self.execute is not None:
            raise BadInput(f"execute={self.execute}: policy={self.policy} predicts no chunks; leave it out or use policy=learned")
        if check_inference(self.inference) != "auto" and self.policy != "learned":
            raise BadInput(f"inference={self.inference}: policy={self.policy} computes no answers; leave it out or use policy=learned")
        for name, least in (("episodes", 1), ("execute", 1), ("num_envs", 1), ("first", 0), ("seed", 0), ("timeout_s", 1), ("size", 16)):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name), least)
        if self.seed >= SEED_LIMIT:
            raise BadInput(f"seed={self.seed}: must be below {SEED_LIMIT}")
        if self.video != "failures" and not (isinstance(self.video, int) and self.video >= 0):
            raise BadInput(f"video={self.video}: must be a number of episodes (0 for none), or failures")
        if self.rendering is not None:
            choose("rendering", self.rendering, RENDERINGS)
        if self.perturbation is not None:
            choose("perturbation", self.perturbation, PERTURBATIONS)
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise BadInput(f"device={self.device}: unknown; valid: auto, cpu, cuda, cuda:0, …")
        if self.inference.endswith(EXPORTED) and self.device not in ("auto", "cpu"):
            raise BadInput(f"device={self.device}: an exported file ({self.inference}) runs on the processor; leave device out")
        for name in self.allow or ():
            choose("allow", name, ALLOWED)
