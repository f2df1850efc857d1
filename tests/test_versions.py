"""The pins: the installed versions are the ones the numbers depend on, and others are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from whatwhere import versions
from whatwhere.errors import BadInput

ROOT = Path(__file__).resolve().parents[1]


def test_this_environment_has_the_pinned_simulator() -> None:
    versions.check_simulator()


@pytest.mark.parametrize("found", ["3.10.0", None])
def test_another_simulator_is_refused(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    monkeypatch.setattr(versions, "installed", lambda name: found if name == "mujoco" else versions.ROBOSUITE)
    with pytest.raises(BadInput, match=rf"mujoco: found {found or 'none'}, needs exactly {versions.MUJOCO}"):
        versions.check_simulator()


def test_stamp_names_what_counts() -> None:
    stamp = versions.stamp()
    assert stamp["mujoco"] == versions.MUJOCO and stamp["robosuite"] == versions.ROBOSUITE
    assert stamp["numpy"] and versions.installed("no-such-distribution") is None


def test_the_pins_agree_everywhere() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    lock = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for name, pinned in (("mujoco", versions.MUJOCO), ("robosuite", versions.ROBOSUITE)):
        assert f'"{name}=={pinned}"' in project and lock[name] == pinned
    assert "@" not in (ROOT / "requirements.lock").read_text().replace("#", ""), "a lock of names and versions, with no places to get them from"
