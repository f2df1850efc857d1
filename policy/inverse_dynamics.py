"""`python -m policy.inverse_dynamics streams=FOLDER data=data/play`: predicts the actions that caused a change (docs/pretraining.md, phase 3).

A head is trained to predict the recorded actions of play from the frozen `change = encoder(frame_t, frame_t+k)`. Its error is measured on held-out takes,
which the streams never saw either if `holdout` is that of their pre-training. For comparison: the same head trained without change (frame t twice),
and always predicting the median action. Errors are mean absolute errors of actions in [-1, 1].
"""

from __future__ import annotations

from policy.training.action_settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.training.action_error import measure

    measure(settings)


if __name__ == "__main__":
    command("policy.conf", "inverse_dynamics", Settings, main)
