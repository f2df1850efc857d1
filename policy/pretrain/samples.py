"""What an objective is shown in a step: two frames or three, or three frames in a large and in several small crops (spec A2, A3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from policy.channels import picture_tensor
from policy.pretrain.clips import Clips, Plan
from policy.pretrain.crops import MultiCrop, multi_crop

if TYPE_CHECKING:
    from policy.pretrain.settings import Settings

FRAMES = 3  # of a multi-crop: two pairs of neighbours


class Samples:
    """Pure functions of the settings and a step: `read(plan(step))`. `crops`, `frames`: what `Objective` says of them."""

    def __init__(self, clips: Clips, settings: Settings, crops: MultiCrop | None, frames: int = 2) -> None:
        self.clips, self.settings, self.crops, self.frames = clips, settings, crops, frames

    def plan(self, step: int, held_out: bool = False) -> Plan:
        s = self.settings
        return self.clips.plan(s.seed, step, s.batch, s.static, s.max_gap, held_out, self.frames if self.crops is None else FRAMES)

    def read(self, plan: Plan) -> tuple[np.ndarray, ...]:
        """The frames, (b, h, w, 3) each; or (b, frames, h, w, 3) of the large crop and (b, crops, frames, l, l, 3) of the small ones. uint8."""
        if self.crops is None:
            return self.clips.read(plan, self.frames)
        c, size, small = self.crops, self.clips.size, self.crops.local_size
        whole = np.empty((len(plan), FRAMES, size, size, 3), np.uint8)
        local = np.empty((len(plan), c.local, FRAMES, small, small, 3), np.uint8)
        for row, (source, first, gap, chance) in enumerate(zip(plan.source, plan.first, plan.gap, plan.chance, strict=True)):
            frames = np.stack([self.clips.footage[int(source)][first + i * gap] for i in range(FRAMES)])
            views = multi_crop(frames, np.random.default_rng(int(chance)), size, small, c.local, self.clips.scale, c.local_scale)
            whole[row] = views.whole
            for i, view in enumerate(views.local):
                local[row, i] = view
        return whole, local

    def held_out(self, number: int, rows: int, device: torch.device) -> tuple[Tensor, ...]:
        """The first `rows` of the `number`-th batch of clips that are never trained on."""
        return tuple(picture_tensor(part, device) for part in self.read(self.plan(number, held_out=True).rows(slice(0, rows))))
