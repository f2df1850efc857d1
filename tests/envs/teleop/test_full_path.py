"""Keys in a browser → demonstrations → a policy → a score."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs.demos.episodes import episode_paths, read_attrs
from tests.envs.teleop.full_path import NUMBERS, full_path


@pytest.mark.slow
def test_from_keys_to_a_score(tmp_path: Path) -> None:
    last = full_path(tmp_path, **NUMBERS | {"steps": 30, "episodes": 2})
    assert last.startswith("success ") and last.endswith("2 episodes")
    sources = [read_attrs(path)["source"] for path in episode_paths(tmp_path / "demos")]
    assert sources == ["browser"] * NUMBERS["keys"] + ["expert"] * NUMBERS["expert"]
    page = (tmp_path / "inspect.html").read_text()
    assert "browser" in page and "expert" in page
