"""For every test: one thread a process, no settings of the user's, no network."""

from __future__ import annotations

import os

# Before torch or a simulator is imported: tests run in two processes, and rows must not depend on the number of threads.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that downloads weights fails at once
for name in ("WHATWHERE_CHECKPOINTS", "HYDRA_FULL_ERROR"):
    os.environ.pop(name, None)
