"""The doctor names what is there, and each problem with its remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eval import doctor
from eval.doctor import Finding, Settings

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(picture=None)


def run(*arguments: str, cwd: Path = ROOT, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    return subprocess.run([sys.executable, "-m", "eval.doctor", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=250, check=False)


def found(check, settings: Settings = SETTINGS) -> list[Finding]:
    return list(check(settings))


def problems(check) -> list[Finding]:
    return [finding for finding in found(check) if finding.problem]


def test_a_screen_about_this_machine(tmp_path) -> None:
    done = run(f"picture={tmp_path / 'frame.png'}")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24 and all(len(line) < 200 for line in lines)
    for name in ("python", "mujoco 3.9.0", "rendering", "test frame", "cores", "memory", "disk", "torch", "bf16", "cache", "checkpoints", "one step"):
        assert name in done.stdout, done.stdout
    has_problem = "!!" in done.stdout
    assert done.returncode == has_problem, done.stderr
    assert (lines[-1] == "all fine") is not has_problem
    assert (tmp_path / "frame.png").read_bytes().startswith(b"\x89PNG")


def test_a_word_it_does_not_know_is_refused() -> None:
    done = run("pictures=x.png")
    assert done.returncode == 2 and "did you mean picture" in done.stderr and done.stderr.count("\n") == 1


def test_other_versions_are_problems(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda name: {"mujoco": "3.12.0", "timm": None}.get(name, "99.0"))
    named = {finding.name: finding for finding in problems(doctor.versions)}
    assert named["mujoco"].value == "3.12.0" and "mujoco==3.9.0" in named["mujoco"].remedy
    assert named["timm"].value == "not installed" and "pip install" in named["timm"].remedy
    assert "torch" not in named


def test_an_overloaded_machine_is_not_told_to_install(monkeypatch) -> None:
    from envs.rendering import gl

    def never(words, timeout, **_):
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.delenv(gl.FOUND, raising=False)
    monkeypatch.setattr(gl.subprocess, "run", never)
    (finding,) = problems(doctor.rendering)
    assert "overloaded" in finding.value and "again" in finding.remedy and "apt-get" not in finding.remedy


def test_no_back_end_is_a_problem_with_packages(monkeypatch) -> None:
    from envs.rendering import gl

    monkeypatch.delenv(gl.FOUND, raising=False)
    monkeypatch.setattr(gl, "probe", lambda backend, without=(): None)
    (finding,) = problems(doctor.rendering)
    assert "apt-get install" in finding.remedy and "no OpenGL" in finding.value


def test_a_wrong_picture_is_a_problem(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "TEST_SCENE", doctor.TEST_SCENE.replace("1 0 0 1", "0 1 0 1"))
    (finding,) = problems(doctor.rendering)
    assert finding.name == "test frame" and "should be red" in finding.value


@pytest.mark.parametrize("gpus", [{}, {"CUDA_VISIBLE_DEVICES": "1", "MUJOCO_EGL_DEVICE_ID": "0"}], ids=["here", "one GPU computes, another draws"])
def test_it_tries_what_the_commands_do(gpus, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "GIVEN", {**os.environ, "PYTHONPATH": str(ROOT)} | gpus)
    monkeypatch.chdir(ROOT)
    (finding,) = found(doctor.one_step)
    assert not finding.problem and "acted on by pick_at_xy/pixelwise" in finding.value, finding


@pytest.mark.parametrize(
    ("code", "said"), [("raise RuntimeError('no such GPU')", "no such GPU"), ("import os; os.abort()", "signal 6"), ("exit(1)", "says nothing")]
)
def test_what_would_fail_in_a_command_is_a_problem(code: str, said: str, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "TRY", code)
    (finding,) = problems(doctor.one_step)
    assert said in finding.value and "envs.view" in finding.remedy


def test_too_little_memory_or_disk(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_MEMORY_GIB", 10**6)
    monkeypatch.setattr(doctor, "LEAST_DISK_GIB", 10**9)
    assert [finding.name for finding in problems(doctor.machine)] == ["memory", "disk"]


def test_a_damaged_checkpoint_is_named(monkeypatch, tmp_path) -> None:
    root = tmp_path / "checkpoints"
    root.mkdir()
    monkeypatch.chdir(tmp_path)
    manifest = {"format": 1, "defaults": {}, "checkpoints": {"pick/lost": {"files": {}}}, "default_streams": None, "streams": {}}
    (root / "manifest.json").write_text(json.dumps(manifest))
    assert any("lost" in finding.value and finding.remedy for finding in problems(doctor.checkpoints))
    (root / "manifest.json").write_text("{")
    assert any("manifest.json" in finding.value for finding in problems(doctor.checkpoints))


def test_a_missing_module_is_a_finding_not_a_traceback(capsys, monkeypatch) -> None:
    def broken(settings: Settings):
        raise ImportError("No module named 'torch'")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (broken, doctor.machine))
    with pytest.raises(SystemExit) as stop:
        doctor.main(SETTINGS)
    out = capsys.readouterr().out
    assert stop.value.code == 1 and "No module named 'torch'" in out and "make setup" in out and "cores" in out
