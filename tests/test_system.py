"""System libraries: what is missing is named with the package that brings it, and nothing is installed where that is not allowed."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
from pathlib import Path

import pytest

from whatwhere import system

ROOT = Path(__file__).resolve().parents[1]


def test_a_missing_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    find = ctypes.util.find_library
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None if name == "EGL" else find(name) or name)
    monkeypatch.setattr(system, "DRIVERS", ("/nowhere/*_dri.so",))
    assert list(system.missing()) == ["libegl1", "libgl1-mesa-dri"]
    assert set(system.missing()) <= set(system.missing_for_setup())


def test_nothing_is_installed_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, int(command[:2] == ["sudo", "-n"]))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(system.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert not system.install(["libegl1"])
    assert calls == [["sudo", "-n", "true"]]  # asked, refused, no more
    monkeypatch.setattr(system.shutil, "which", lambda name: None)
    assert not system.install(["libegl1"])
    monkeypatch.setattr(system.os, "geteuid", lambda: 0)
    monkeypatch.setattr(system.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert system.install(["libegl1"])
    assert calls[-1][-1] == "libegl1" and "install" in calls[-1] and "sudo" not in calls[-1]


def test_it_needs_the_standard_library_only() -> None:
    done = subprocess.run([sys.executable, "-S", "-m", "whatwhere.system"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_readme_names_the_same_packages() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(package in text for package in ("libgl1-mesa-dri", *(package for package, _ in system.LIBRARIES.values())))
