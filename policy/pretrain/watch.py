"""What is looked at while streams are trained: figures and pictures of held-out clips, probes of object positions, and whether the tokens collapsed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from policy.channels import m_channels, p_channels
from policy.pretrain.curves import Curves, mean, pictures
from policy.pretrain.gates import gate_shares
from policy.pretrain.gradient_shares import shares_of_terms
from policy.probing.collapse import collapse

if TYPE_CHECKING:
    from policy.pretrain.objective import Objective
    from policy.pretrain.settings import Settings


FEW = 16  # pictures: of fewer it cannot be told how many dimensions CLS uses


class Collapsed(SystemExit):
    """Training went wrong: one line on the terminal, exit code 1. The last saved state is left as it was."""


def stop_if(wrong: list[str], out: str, done: int) -> None:
    """Raises Collapsed if anything is `wrong` after `done` steps."""
    if wrong:
        raise Collapsed(f"out={out}: stopped after step {done}: {'; '.join(dict.fromkeys(wrong))}")


class Watch:
    """Looks at an objective every so often, always at the same held-out pairs. `held_out(n)` gives the n-th batch of them, or is None if there are none.

    `figures` are the last ones seen. Raises BadInput for `probe=` scenes that are not there.
    """

    def __init__(self, settings: Settings, held_out: Callable[[int], tuple[Tensor, ...]] | None, device: torch.device, figures: dict[str, float]) -> None:
        self.settings, self.held_out, self.device, self.figures = settings, held_out, device, figures
        self.probe = None
        if settings.probe is not None:
            from policy.probing.quick import QuickProbe

            self.probe = QuickProbe(settings.probe)

    def look(self, objective: Objective, done: int, curves: Curves) -> None:
        """After `done` steps. Raises Collapsed."""
        s, last = self.settings, done == self.settings.steps
        wrong: list[str] = []
        objective.eval()
        if self.held_out is not None and s.validate_every and (done % s.validate_every == 0 or last):
            figures, lines = self._validate(objective, Path(s.out) / "pictures_held_out.png")
            self._tell("held_out", figures, done, curves)
            wrong += lines
        if self.probe is not None and (done % s.probe_every == 0 or last):
            figures, lines = self.probe(*objective.kept)
            self._tell("probe", figures, done, curves)
            wrong += lines
        objective.train()
        stop_if(wrong, s.out, done)

    def _tell(self, of: str, figures: dict[str, float], done: int, curves: Curves) -> None:
        curves.looked(done, of, figures)
        self.figures |= {f"{of}/{key}": value for key, value in figures.items() if math.isfinite(value)}  # JSON has no others

    @torch.no_grad()
    def _validate(self, objective: Objective, path: Path) -> tuple[dict[str, float], list[str]]:
        """Mean figures (those of `objective.assess` too, if it has that); of the first batch gates, gradients, a picture, and what collapsed in it."""
        from policy.training.device import autocast

        assert self.held_out is not None
        every, wrong, once = [], [], dict[str, float]()
        with autocast(self.device, self.settings.precision):
            for number in range(self.settings.validate_batches):
                given = self.held_out(number)
                torch.manual_seed(number)
                _, figures, picture = objective(*given, torch.Generator(self.device).manual_seed(number))
                if (assess := getattr(objective, "assess", None)) is not None:
                    more, picture = assess(*given, torch.Generator(self.device).manual_seed(number))
                    figures = figures | more
                every.append(figures)
                if number == 0:
                    now, later = objective.pair(*given)
                    once = gate_shares(*objective.kept, now, later)
                    once |= shares_of_terms(objective, *given, generator=torch.Generator(self.device).manual_seed(number))
                    if picture is not None:
                        pictures(path, now, later, picture)
                    streams, fusion = objective.kept
                    tokens = streams(m_channels(now, later), p_channels(now))
                    fused = fusion(tokens)
                    parts = {"P": tokens.p_patches, "fused": fused.placed} | ({"CLS": fused.pooled} if objective.teaches_cls and len(now) >= FEW else {})
                    wrong = [line for name, part in parts.items() if len(now) > 1 and (line := collapse(part, name)) is not None]
        return mean(every) | once, wrong
