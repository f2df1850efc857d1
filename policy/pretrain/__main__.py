"""`python -m policy.pretrain objective=video_prediction data=FOLDER out=FOLDER`: trains the two streams on video without
action labels. A killed run resumes, with a bitwise identical result.

On several GPUs or machines: `torchrun --nproc-per-node 4 -m policy.pretrain …`, with the same settings.
"""

from __future__ import annotations

from policy.pretrain.settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.pretrain.loop import pretrain

    pretrain(settings)


if __name__ == "__main__":
    command("policy.conf", "pretrain", Settings, main)
