"""`python -m eval.looks checkpoints=[…]`: where policies look, side by side on the same starts, and how much each goes by what changed (spec A19).

Writes `out/looks.png` (keypoints and attention over the pictures of one start of each task), `out/shares.png` (the share of M and P in the actions, and in
the fused patches) and `out/looks.json`.
"""

from __future__ import annotations

from eval.reports.looks_settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from eval.reports.looks import measure

    measure(settings)


if __name__ == "__main__":
    command("eval.conf", "looks", Settings, main)
