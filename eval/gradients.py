"""`python -m eval.gradients checkpoints=[pick_at_xy/pixelwise,pick_at_xy/avg_late] demos=FOLDER`: how much of the loss's gradient reaches each patch.

On demonstrations, for each trained policy and, with `begin=true`, for every encoder over the streams of the first before any training. Gives numbers
and heat maps over the picture: the mean of all samples, and one sample. Writes `out/gradients.json`, `gradients.csv` and `gradients.png`.
"""

from __future__ import annotations

from eval.reports.gradient_settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from eval.reports.gradients import measure

    measure(settings)


if __name__ == "__main__":
    command("eval.conf", "gradients", Settings, main)
