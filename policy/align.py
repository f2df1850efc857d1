"""`python -m policy.align scenes=data/named/pick_at_xy out=outputs/align`: aligns words with patches and captions with pictures, on labelled scenes.

Contrastive (InfoNCE with a learned temperature, spec B3) over the frozen streams, from scenes with the simulator's captions and projections
(`python -m envs.demos.scenes version=1`). A policy trained with `align=outputs/align` gets from it the location of the object that its instruction names.
Writes the metrics of spec B8 and B9 as rows. A killed run resumes.
"""

from __future__ import annotations

from policy.aligning.settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.aligning.loop import align

    align(settings)


if __name__ == "__main__":
    command("policy.conf", "align", Settings, main)
