"""DINO for the two streams (spec A5): a student says of any crop what its own slower copy, the teacher, says of the large one.

The student sees all crops of three frames, the teacher the large ones; both read pairs of neighbouring frames through both streams and their fusion. What
is compared is the fused CLS. Because policies read patches, those are taught, too (iBOT, Zhou et al. 2022): where some of the student's patches are
hidden, it must say of them what the teacher says, who sees them.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from policy.channels import m_channels, p_channels
from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.crops import MultiCrop
from policy.pretrain.distillation import CENTRINGS, Teaching
from policy.pretrain.engine import Engine
from policy.pretrain.objective import Objective
from policy.pretrain.patch_mask import block_mask
from policy.pretrain.sight import Sight
from policy.probing.collapse import collapsed_choices, entropies
from policy.probing.rank import effective_rank
from policy.shapes import StreamTokens, Tokens
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput, choose

KEEPS = ("teacher", "student")
ALARM_AFTER = 0.1  # of the steps: untrained heads choose all prototypes alike


class Dino(Objective):
    """See `policy/conf/objective/dino.yaml` for the settings. Raises BadInput."""

    def __init__(
        self,
        streams: TwoStreamEncoder,
        prototypes: int = 1024,
        width: int = 512,
        bottleneck: int = 128,
        cls_fusion: str = "linear",
        local: int = 2,
        local_size: int | None = None,
        local_scale: tuple[float, float] = (0.05, 0.4),
        centring: str = "mean",
        centre_momentum: float = 0.9,
        student_temperature: float = 0.1,
        teacher_temperature: tuple[float, float] = (0.04, 0.07),
        temperature_warmup: float = 0.1,
        momentum: float = 0.99,
        weight_decay_end: float = 0.4,
        freeze: float = 0.02,
        patches: float = 1.0,
        masked: float = 0.5,
        mask: tuple[float, float] = (0.1, 0.5),
        keep: str = "teacher",
    ) -> None:
        super().__init__()
        choose("objective.centring", centring, CENTRINGS)
        choose("objective.keep", keep, KEEPS)
        patch = streams.size // streams.grid[0]
        local_size = local_size or max(patch, streams.size // 2 // patch * patch)
        if local and (local_size % patch or not patch <= local_size <= streams.size):
            raise BadInput(f"objective.local_size={local_size}: must be a multiple of patch={patch}, at most size={streams.size}")
        self.crops = MultiCrop(local, local_size, (local_scale[0], local_scale[1]))
        sizes: dict[str, Any] = {"cls_fusion": cls_fusion, "prototypes": prototypes, "width": width, "bottleneck": bottleneck, "patches": patches > 0}
        self.student = Sight(streams, **sizes)
        self.teacher = Sight(copy.deepcopy(streams), **sizes).requires_grad_(False)
        self.cls_teaching = Teaching(prototypes, centring, centre_momentum, student_temperature)
        self.patch_teaching = Teaching(prototypes, centring, centre_momentum, student_temperature) if patches > 0 else None
        self.temperatures, self.temperature_warmup, self.student_temperature = teacher_temperature, temperature_warmup, student_temperature
        self.first_momentum, self.weight_decay_end, self.still, self.keep = momentum, weight_decay_end, freeze, keep
        self.patches, self.masked, self.mask = patches, masked if patches else 0.0, mask
        self.temperature, self.momentum, self.teaches_cls = teacher_temperature[0], momentum, False  # of the step: `begin`
        self.chosen: dict[str, Tensor] = {}

    @property
    def streams(self) -> TwoStreamEncoder:  # type: ignore[override]
        return self.student.streams

    @property
    def fusion(self) -> PixelwiseFusion:  # type: ignore[override]
        return self.student.fusion

    @property
    def kept(self) -> tuple[TwoStreamEncoder, PixelwiseFusion]:
        sight = self.teacher if self.keep == "teacher" else self.student
        return sight.streams, sight.fusion

    def groups(self) -> list[dict[str, Any]]:
        """Matrices, whose decay follows a schedule; and biases, gains and masks, which do not decay."""
        trained = list(self._trained())
        plain = {"params": [weights for weights in trained if weights.ndim < 2], "weight_decay": 0.0}
        return [{"params": [weights for weights in trained if weights.ndim > 1], "decays": True}, plain | {"decays": False}]

    def begin(self, step: int, steps: int, optimizer: torch.optim.Optimizer) -> None:
        from lightly.utils.scheduler import cosine_schedule

        if step == 0:  # after the streams were loaded, if they were
            self.teacher.load_state_dict(self.student.state_dict())
        share = step / max(1, steps)
        low, high = self.temperatures
        self.temperature = low + (high - low) * min(1.0, share / self.temperature_warmup if self.temperature_warmup else 1.0)
        self.momentum, self.teaches_cls = cosine_schedule(step, steps, self.first_momentum, 1.0), share >= ALARM_AFTER
        for head in (self.student.cls_head, self.student.patch_head):
            if head is not None:
                head.frozen = share < self.still
        for group in optimizer.param_groups:
            if group.get("decays"):
                group["weight_decay"] = cosine_schedule(step, steps, optimizer.defaults["weight_decay"], self.weight_decay_end)

    def end(self, engine: Engine) -> None:
        from lightly.models.utils import update_momentum

        update_momentum(self.student, self.teacher, self.momentum)
        for teaching in (self.cls_teaching, self.patch_teaching):
            if teaching is not None:
                teaching.move_centre(engine)

    def forward(
        self, whole: Float[Tensor, "b t 3 h w"], local: Float[Tensor, "b c t 3 l l"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float], None]:
        """Loss and figures to log. Frames in [0, 1]."""
        terms, figures = self._learn(whole, local, generator)
        loss = torch.stack([*terms.values()]).sum()
        return loss, {"loss": loss.item()} | figures, None

    def terms(self, whole: Tensor, local: Tensor, generator: torch.Generator) -> dict[str, Tensor]:  # type: ignore[override]
        return self._learn(whole, local, generator)[0]

    def _learn(
        self, whole: Float[Tensor, "b t 3 h w"], local: Float[Tensor, "b c t 3 l l"], generator: torch.Generator
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Weighted terms of the loss, and figures without it."""
        b, t = len(whole), self.temperature
        now, later = _views(whole[:, :-1]), _views(whole[:, 1:])  # (v·b, 3, h, w): pairs of neighbours, all samples of the first before those of the next
        hidden = block_mask(len(now), self.student.streams.grid, self.masked, self.mask, generator)
        with torch.no_grad():
            seen = self.teacher(now, later)
            wanted = self.cls_teaching.wanted(self.teacher.cls(seen), t)
        guessed = self.student(now, later, hidden)
        said = [self.student.cls(guessed)]
        if local.shape[1]:
            said.append(self.student.cls(self.student(_crops(local[:, :, :-1]), _crops(local[:, :, 1:]))))
        with torch.autocast(whole.device.type, enabled=False):
            loss_cls = self.cls_teaching.views_loss(list(wanted.split(b)), list(torch.cat(said).split(b)), t)
        teacher, spread = entropies(wanted / t)
        terms, figures = {"cls": loss_cls}, {"loss_cls": loss_cls.item(), "entropy_teacher": teacher, "entropy_chosen": spread}
        figures |= {"entropy_student": entropies(said[0] / self.student_temperature)[0], "kl": loss_cls.item() - teacher}
        self._choose("CLS", wanted / t)
        if self.patch_teaching is not None:
            loss_patches = self._patches(seen, guessed, hidden)
            terms["patches"], figures["loss_patches"] = self.patches * loss_patches, loss_patches.item()
        return terms, figures

    def _patches(self, seen: StreamTokens, guessed: StreamTokens, hidden: Tensor) -> Float[Tensor, ""]:
        """The loss of the hidden patches."""
        assert self.patch_teaching is not None and self.teacher.patch_head is not None and self.student.patch_head is not None
        t, where = self.temperature, hidden.flatten(1)
        with torch.no_grad():
            wanted = self.patch_teaching.wanted(self.teacher.patch_head(self.teacher.fusion(seen).placed[where]), t)
        said = self.student.patch_head(self.student.fusion(guessed).placed[where])
        self._choose("patches", wanted / t)
        with torch.autocast(hidden.device.type, enabled=False):
            return self.patch_teaching.patches_loss(wanted, said, hidden, t)

    def _choose(self, name: str, logits: Tensor) -> None:
        if self.training:
            self.chosen[name] = logits

    def wrong(self) -> list[str]:
        if not self.teaches_cls:
            return []
        return [f"{name}: {line}" for name, logits in self.chosen.items() if (line := collapsed_choices(logits)) is not None]

    @torch.no_grad()
    def assess(self, whole: Float[Tensor, "b t 3 h w"], local: Float[Tensor, "b c t 3 l l"], generator: torch.Generator) -> tuple[dict[str, float], None]:
        """Effective ranks of the fused CLS and patches that are kept."""
        streams, fusion = self.kept
        fused: Tokens = fusion(streams(m_channels(whole[:, 0], whole[:, 1]), p_channels(whole[:, 0])))
        return {"rank_cls": effective_rank(fused.pooled), "rank_patches": effective_rank(fused.placed, most=1024)}, None


def _views(frames: Float[Tensor, "b v 3 h w"]) -> Float[Tensor, "m 3 h w"]:
    return rearrange(frames, "b v rgb h w -> (v b) rgb h w")


def _crops(frames: Float[Tensor, "b c v 3 h w"]) -> Float[Tensor, "m 3 h w"]:
    return rearrange(frames, "b c v rgb h w -> (c v b) rgb h w")
