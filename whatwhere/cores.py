"""How many processor cores this process may use: fewer than the machine has, in a container or under `taskset`."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores this process may run on, at most as many as its control group may keep busy (`docker run --cpus`, Kubernetes limits); at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, quota(CGROUPS, _own_groups()))))


def quota(root: Path, groups: list[str]) -> float:
    """Cores' worth of time that control groups under `root` may take; infinite where none is limited. A group is bound by those above it as well."""
    least = math.inf
    for group in groups:
        for place in (Path(group), *Path(group).parents):
            for folder in (root / str(place).lstrip("/"), root / "cpu" / str(place).lstrip("/")):  # version 2, version 1
                with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
                    least = min(least, _limit(folder))
    return least


def _limit(folder: Path) -> float:
    if (two := folder / "cpu.max").exists():
        most, period = two.read_text().split()
        return math.inf if most == "max" else int(most) / int(period)
    most = int((folder / "cpu.cfs_quota_us").read_text())
    return math.inf if most < 0 else most / int((folder / "cpu.cfs_period_us").read_text())


def _own_groups() -> list[str]:
    """Paths of the control groups of this process, which limit processor time or everything."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return []
    parts = [line.split(":", 2) for line in lines]
    return ["/", *(part[2] for part in parts if len(part) == 3 and (not part[1] or "cpu" in part[1].split(",")))]
