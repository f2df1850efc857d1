"""`python -m policy.align scenes=data/named/pick_at_xy out=outputs/align`: play with words teaches which patch a word means, and which caption a picture has.

Contrastive (InfoNCE with a learned temperature, spec B3) over the frozen streams, from scenes whose captions and projections the simulator gives for nothing
(`python -m envs.demos.scenes version=1`). A policy that is trained with `align=outputs/align` is told by it where the thing lies that its instruction names.
Writes the metrics of spec B8 and B9 as rows. A run that was killed goes on.
"""

from __future__ import annotations

from policy.aligning.settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.aligning.loop import align

    align(settings)


if __name__ == "__main__":
    command("policy.conf", "align", Settings, main)
