"""The built wheel: lists every package, carries its settings and the default checkpoint, and works where the source tree is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("envs", "eval", "policy", "whatwhere")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed() -> None:
    in_tree = {".".join(path.relative_to(ROOT).parts[:-1]) for room in ROOMS for path in (ROOT / room).rglob("__init__.py")}
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(in_tree | {"policy.checkpoints"}) == sorted(listed)


def test_every_folder_with_code_or_settings_is_a_package() -> None:
    folders = {path.parent for room in ROOMS for kind in ("*.py", "*.yaml") for path in (ROOT / room).rglob(kind)}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_tests_need_no_more_than_the_dev_extra() -> None:
    dev = (ROOT / "requirements-dev.lock").read_text().lower()
    for wanted in PROJECT["project"]["optional-dependencies"]["dev"]:
        name = re.split(r"[\[>]", wanted)[0]
        assert f"\n{name}==" in dev or f"\n{name}==" in (ROOT / "requirements.lock").read_text().lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that a build folder of the past cannot add files and none is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("pyproject.toml", "README.md", "LICENSE", *ROOMS, "checkpoints"):
        subprocess.run(["cp", "-r", "--parents", name, source], cwd=ROOT, check=source.mkdir(exist_ok=True) is None)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it. Its dependencies are those of this environment, found over a path file, which leaves
    out the editable installation there."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = (folder / "venv" / "lib").glob("python3.*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, folder: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "WHATWHERE_CHECKPOINTS")}
    return subprocess.run([str(python), *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.slow
def test_the_wheel_holds_what_it_needs_and_no_more(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (path for room in ROOMS for kind in ("*.py", "*.yaml") for path in (ROOT / room).rglob(kind)):
        assert path.relative_to(ROOT).as_posix() in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {*ROOMS, f"whatwhere-{PROJECT['project']['version']}.dist-info"}
    assert "policy/checkpoints/manifest.json" in names
    assert wheel.stat().st_size < 15e6


@pytest.mark.slow
def test_the_wheel_carries_the_default_checkpoint(python: Path, tmp_path: Path) -> None:
    program = "from policy.storage.checkpoint import find, verify; print(verify(find('pick_at_xy', 'pixelwise')).folder)"
    done = run(python, tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(python.parents[1])
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 10e6


@pytest.mark.slow
def test_every_package_imports_from_the_wheel(python: Path, tmp_path: Path) -> None:
    done = run(python, tmp_path, "-c", "import envs, eval, policy, whatwhere; print(*(m.__file__ for m in (envs, eval, policy, whatwhere)), sep='\\n')")
    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_relative_to(python.parents[1]) for line in done.stdout.splitlines())


@pytest.mark.slow
def test_help_and_two_episodes_from_another_folder(python: Path, tmp_path: Path) -> None:
    done = run(python, tmp_path, "-m", "eval.run", "--help")
    assert done.returncode == 0 and "episodes" in done.stdout, done.stderr
    done = run(python, tmp_path, "-m", "eval.run", "task=pick_at_xy", "policy=zero", "episodes=1", "seed=100000", "video=0", "out=zero")
    assert done.returncode == 0 and len((tmp_path / "zero" / "episodes.jsonl").read_text().splitlines()) == 1, done.stderr
    done = run(python, tmp_path, "-m", "eval.run", "task=pick_at_xy", "encoder=pixelwise", "episodes=2", "seed=100000", "video=1", "out=learned")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "learned" / "episodes.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "learned" / "results.json").exists() and list((tmp_path / "learned").rglob("*.mp4"))
    assert "2 episodes" in done.stdout.strip().splitlines()[-1]
