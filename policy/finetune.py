"""`python -m policy.finetune task=pick_at_xy encoder=pixelwise demos=FOLDER`: an inverse-dynamics policy from a few demonstrations.

Frozen streams read cached tokens (minutes on a CPU); `unfreeze=true` and the from-scratch CNNs read pictures. The number of steps is fixed
beforehand and the last weights (their moving average) are kept: nothing is chosen by a score.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from whatwhere.command import command
from whatwhere.errors import BadInput, choose, did_you_mean, positive
from whatwhere.files import path_name

if TYPE_CHECKING:
    from policy.training.dataset import Demos


@dataclasses.dataclass(frozen=True)
class Settings:
    task: str
    encoder: str
    demos: str | None
    num_demos: int
    held_out: int
    seed: int
    out: str | None
    streams: str | None
    fusion: str
    cls_fusion: str
    sharing: str
    unfreeze: bool
    steps: int | None
    batch: int
    lr: float
    stream_lr: float
    weight_decay: float
    ema: float
    chunk: int
    execute: int
    m_dropout: float
    proprio_dropout: float
    shifts: int
    shift_px: int
    cache: str
    precision: str
    device: str
    num_threads: int
    save_every: int

    def __post_init__(self) -> None:
        from policy.encoders import ENCODERS
        from policy.fusion import FUSIONS

        choose("encoder", self.encoder, ENCODERS)
        choose("fusion", self.fusion, FUSIONS)
        choose("cls_fusion", self.cls_fusion, FUSIONS)
        choose("sharing", self.sharing, ("separate", "shared"))
        choose("precision", self.precision, ("auto", "fp32", "bf16"))
        for name in ("num_demos", "batch", "chunk", "execute", "shifts", "save_every"):
            positive(name, getattr(self, name))
        for name in ("seed", "held_out"):
            positive(name, getattr(self, name), 0)
        positive("shift_px", self.shift_px, 0)
        if self.steps is not None:
            positive("steps", self.steps)
        for name in ("ema", "m_dropout", "proprio_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: must lie in 0…1, below 1")

    @property
    def folder(self) -> Path:
        """Where the results go: made of the settings, so that the same command resumes."""
        if self.out is not None:
            return Path(self.out)
        return Path("outputs/finetune") / f"{path_name(self.task)}_{self.encoder}_n{self.num_demos}_s{self.seed}{'_unfrozen' if self.unfreeze else ''}"


def main(settings: Settings) -> Path:
    """Trains, and returns the checkpoint's folder. Raises BadInput."""
    demos, held_out = check(settings)
    from policy.training.loop import finetune  # torch: nothing that a file can say waits for it

    return finetune(settings, demos, held_out)


def check(settings: Settings) -> tuple[Demos, Demos | None]:
    """The demonstrations to learn from and those held out, if any.

    Raises BadInput for those that are missing, damaged or of another task, and for streams that do not fit them.
    """
    from policy.encoders import FROM_SCRATCH
    from policy.training.dataset import load_demos

    if settings.demos is None:
        raise BadInput(f"demos: missing; give demos=FOLDER (make one with python -m envs.demos.collect task={settings.task} n={settings.num_demos})")
    demos = load_demos(settings.demos, settings.num_demos, settings.chunk)
    held_out = load_demos(settings.demos, settings.held_out, settings.chunk, after=demos) if settings.held_out else None
    if demos.attrs["task"] != settings.task:
        known = demos.attrs["task"]
        raise BadInput(f"task={settings.task}: demos={settings.demos} were recorded in task={known}{did_you_mean(settings.task, [known])}")
    if settings.encoder not in FROM_SCRATCH and settings.streams != "random":
        from policy.storage.stored import default_streams, read_streams

        needed, found = read_streams(Path(settings.streams or default_streams()))["size"], demos.attrs["size"]
        if needed != found:
            raise BadInput(f"demos={settings.demos}: pictures of {found} px, the streams need {needed} px; draw them again with envs.demos.render")
    return demos, held_out


if __name__ == "__main__":
    command("policy.conf", "finetune", Settings, main)
