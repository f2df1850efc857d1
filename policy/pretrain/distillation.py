"""What a teacher's answers are made of before a student is asked to give them: centred or balanced, and sharpened; and how far the student is from them.

Centring, Sinkhorn–Knopp and both losses are lightly's. Its losses move a centre of their own whenever they are called; here the centre is moved once a
step, by all pieces of the batch in all processes, so that it does not depend on how the batch is divided. Theirs stays at zero (`center_momentum=1`).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from policy.pretrain.engine import Engine

CENTRINGS = ("mean", "sinkhorn")
LEAST = 1e-30  # of a share: its logarithm is asked for


class Teaching(nn.Module):
    """What one kind of token (CLS, patches) is taught. `centre` (k) is the running mean of the teacher's cosines, at `centring=mean`."""

    centre: Tensor

    def __init__(self, prototypes: int, centring: str, centre_momentum: float, student_temperature: float) -> None:
        super().__init__()
        from lightly.loss import DINOLoss, IBOTPatchLoss

        self.centring, self.momentum, self.student_temperature = centring, centre_momentum, student_temperature
        self.register_buffer("centre", torch.zeros(prototypes))
        self.views = DINOLoss(prototypes, student_temp=student_temperature, center_momentum=1.0)
        self.patches = IBOTPatchLoss(prototypes, student_temp=student_temperature, center_momentum=1.0)
        self.seen: list[Tensor] = []  # sums of this step's cosines, and their count at the end; not a buffer: those are the first process's in all

    def wanted(self, cosines: Float[Tensor, "m k"], temperature: float) -> Float[Tensor, "m k"]:
        """What, divided by the temperature, is the logarithm of what the student is to say (up to a constant)."""
        from lightly.loss.swav_loss import sinkhorn

        if self.training:
            self.seen.append(torch.cat([cosines.sum(0), cosines.new_tensor([len(cosines)])]))
        if self.centring == "mean" or not len(cosines):
            return cosines - self.centre
        return temperature * sinkhorn(cosines, iterations=3, epsilon=temperature).clamp(min=LEAST).log()

    def views_loss(self, wanted: list[Tensor], said: list[Tensor], temperature: float) -> Float[Tensor, ""]:
        """Cross-entropy of each of the teacher's views (b, k) with all of the student's but the same one, the mean (DINO)."""
        return self.views(wanted, said, teacher_temp=temperature)

    def patches_loss(self, wanted: Float[Tensor, "m k"], said: Float[Tensor, "m k"], hidden: Bool[Tensor, "b r c"], temperature: float) -> Float[Tensor, ""]:
        """Cross-entropy at the m hidden patches: the mean of each sample, and of the samples (iBOT)."""
        return self.patches(wanted, said, hidden, teacher_temp=temperature)

    @torch.no_grad()
    def move_centre(self, engine: Engine) -> None:
        """After a step."""
        from lightly.models.modules.center import center_momentum

        total = engine.total(torch.stack(self.seen).sum(0))
        self.seen = []
        if total[-1] > 0:
            self.centre.copy_(center_momentum(self.centre, total[:-1] / total[-1], self.momentum))
