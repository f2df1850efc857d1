"""Pictures of what a planner wants, by the U-Net decoder of pre-training, beside what then happened (docs/planner.md).

A code has no place of its own in a picture. So the recorded change is drawn that is most like the desired one: by its code and by the robot's state, among the
demonstrations that the planner learnt from. The decoder puts it upon the present frame.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from policy.change import ChangeEncoder
from policy.channels import m_channels, p_channels, picture_tensor
from policy.pretrain.curves import rows_of_pictures
from policy.pretrain.kept_decoder import FrameDecoder
from policy.pretrain.video_prediction import moving_db
from policy.storage.decoder_files import streams_of_decoder
from policy.training.dataset import Demos

MOST, SHOWN = 64, 8  # moments that are measured, and shown


class Drawer:
    """A decoder and the streams that it was taught over, both from the OUT of one pre-training run. Raises BadInput."""

    def __init__(self, out: str, size: int, device: torch.device) -> None:
        streams = streams_of_decoder(out, size)
        self.decoder = FrameDecoder.from_pretrained(out, device=device)
        self.changes = ChangeEncoder.from_pretrained(streams, device)

    @torch.no_grad()
    def draw(self, now: Float[Tensor, "b 3 h w"], before: Float[Tensor, "b 3 h w"], after: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The change from `before` to `after`, upon `now`."""
        change = self.changes.fusion(self.changes.streams(m_channels(before, after), p_channels(now)))
        return self.decoder.generate(now.permute(0, 2, 3, 1), change).permute(0, 3, 1, 2)

    def draw_recorded(self, now: Float[Tensor, "b 3 h w"], recorded: Demos, like: Int[np.ndarray, " b"], ahead: int, camera: int) -> Float[Tensor, "b 3 h w"]:
        """What `camera` saw change in the `ahead` steps from these moments (`like`) of demonstrations on, upon `now`."""
        before, after = (picture_tensor(recorded.frames[of, camera], now.device) for of in (like, recorded.ahead(ahead)[like]))
        return self.draw(now, before, after)


def nearest(code: Float[Tensor, "r z"], own: Float[Tensor, "r s"], codes: Float[Tensor, "n z"], states: Float[Tensor, "n s"]) -> Int[np.ndarray, " r"]:
    """Of the recorded changes `codes` of a robot in `states`, the one that is most like each of `code` and `own`: a mean number of either counts alike."""
    apart = torch.cdist(code, codes).square() / code.shape[1] + torch.cdist(own, states).square() / own.shape[1]
    return apart.argmin(1).cpu().numpy()


def desired_pictures(
    drawer: Drawer,
    learnt: Demos,
    unseen: Demos,
    ahead: int,
    recorded: tuple[Tensor, Tensor],
    wanted: Float[Tensor, "t z"],
    happened: tuple[Tensor, Tensor],
    write: Callable[[Tensor], None],
) -> dict[str, float]:
    """dB on moving pixels of frame t+k, over all cameras, for k = `ahead`: the picture of the desired change; the same of the code of what then happened (what
    drawing by the nearest costs); of the true change itself (what the decoder can); of no change (frame t).

    recorded: codes and states of all samples of `learnt`; wanted, happened: what is wanted, and codes and states of what happened, of all samples of `unseen`.
    write: takes a grid: frame t, what is wanted, frame t+k, the decoder's picture of the true change.
    """
    rows = np.flatnonzero((np.arange(len(unseen)) - unseen.first) % ahead == 0)[:MOST]
    device, then = wanted.device, unseen.ahead(ahead)
    found = {"planner": nearest(wanted[rows], happened[1][rows], *recorded), "true code": nearest(happened[0][rows], happened[1][rows], *recorded)}
    pictures: dict[str, list[Tensor]] = {}
    for camera in range(unseen.frames.shape[1]):
        now, later = (picture_tensor(unseen.frames[of, camera], device) for of in (rows, then[rows]))
        made = {"no change": now, "what happened": later, "true change": drawer.draw(now, now, later)}
        for name, like in found.items():
            made[name] = drawer.draw_recorded(now, learnt, like, ahead, camera)
        for name, picture in made.items():
            pictures.setdefault(name, []).append(picture)
    whole = {name: torch.cat(each) for name, each in pictures.items()}
    some = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int)
    write(rows_of_pictures([whole[name][some] for name in ("no change", "planner", "what happened", "true change")]))
    now, later = whole["no change"], whole["what happened"]
    return {name: moving_db(whole[name], later, now) for name in ("planner", "true code", "true change", "no change")}
