"""How many processes are worth starting here."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from whatwhere import cores


@pytest.mark.parametrize(
    ("files", "groups", "expected"),
    [
        ({}, ["/"], math.inf),
        ({"cpu.max": "max 100000"}, ["/"], math.inf),
        ({"cpu.max": "150000 100000"}, ["/"], 1.5),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, ["/a/b"], 3.0),  # the group above limits
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, ["/"], 0.5),
        ({"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, ["/x"], math.inf),
        ({"cpu.max": "nonsense"}, ["/"], math.inf),
    ],
)
def test_quotas_of_control_groups(tmp_path: Path, files: dict[str, str], groups: list[str], expected: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert cores.quota(tmp_path, groups) == expected


def test_never_none_and_never_more_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= cores.usable_cores() <= len(os.sched_getaffinity(0))
    monkeypatch.setattr(cores, "quota", lambda root, groups: 0.2)
    assert cores.usable_cores() == 1
