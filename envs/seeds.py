"""Which seeds are for what, so that nothing is trained on a start that it is scored on. From 1,000,000 on they are kept for checks from outside."""

from __future__ import annotations

DEMONSTRATIONS = range(100_000)  # and play
DEVELOPMENT = range(100_000, 200_000)  # looking at failures, choosing anything
REPORTED = range(200_000, 300_000)  # run once for every final policy
PROBES = range(300_000, 400_000)
