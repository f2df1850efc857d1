"""`python -m policy.desired checkpoint=FOLDER demos=FOLDER`: compares the change that a planner desires with the change that then happened (docs/planner.md).

On demonstrations after those used in training: the cosine of the two codes, beside that of no change and of the mean change, and the error of the actions
predicted from each. `checkpoint` may be several, for instance policies that plan 4, 8 and 16 control steps ahead. Written to `out/desired.json`.
"""

from __future__ import annotations

from policy.probing.desired_settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.probing.desired_change import measure

    measure(settings)


if __name__ == "__main__":
    command("policy.conf", "desired", Settings, main)
