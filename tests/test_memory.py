"""Freed memory is kept, so that it need not be cleared again."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

CODE = """
    import resource
    import numpy as np
    from whatwhere.memory import keep_freed_memory

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            a, b = np.ones(3_000_000, np.float32), np.ones(2_000_000, np.float32)
            del a, b
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    before = faults()
    kept = keep_freed_memory()
    faults()
    print(kept, before, faults())
"""


def test_pages_are_not_fetched_anew() -> None:
    # with large pages 20 MB are ten faults, with small ones five thousand; how many of each the system has at hand is its own affair
    here = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(CODE)], capture_output=True, text=True, check=True, env=here)
    kept, before, after = done.stdout.split()
    assert kept == "True" and int(before) >= 100 and int(after) < int(before) / 4, done.stdout
