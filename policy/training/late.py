"""Demonstrations as a policy learns them whose pictures arrive late or whose actions are carried out late: recordings stay as they are, other rows are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from policy.history import beside
from policy.training.dataset import Demos


def delayed(demos: Demos, latency: int = 0, action_latency: int = 0, history: Sequence[str] = ()) -> Demos:
    """The samples of `demos` under latencies in control steps, with what `history` puts beside proprio (policy.history).

    A sample sees the pictures of `latency` rows earlier (of the episode's first row where there is none), has the proprio of its own row, and learns the
    actions from `action_latency` rows later on; so `demos` come with chunks that are so much longer than the policy's.
    """
    if not (latency or action_latency):
        return demos
    rows = np.arange(len(demos))
    seen = np.maximum(rows - latency, demos.first)
    around = rows[:, None] + np.arange(-latency, action_latency)  # (t, latency + action_latency): the rows in which those actions are carried out
    sent = demos.sent[np.minimum(np.maximum(around, 0), demos.last[:, None])]
    sent = np.where((around >= demos.first[:, None])[..., None], sent, 0)
    return dataclasses.replace(
        demos,
        seen=seen,
        own=beside(history, demos.proprio, demos.proprio[seen], sent),
        chunks=demos.chunks[:, action_latency:],
        valid=demos.valid[:, action_latency:],
    )
