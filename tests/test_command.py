"""The command line: what is accepted, and that bad input is one line and exit 2. The example command lies in tests/example/greet."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from whatwhere.command import parse
from whatwhere.errors import BadInput, choose, positive
from whatwhere.settings import typed

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "tests" / "example"


@pytest.fixture
def greet(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import greet.run  # pyright: ignore[reportMissingImports]

    return greet.run


def run(*arguments: str, cwd: Path, shell: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(EXAMPLE)])}
    command = ["bash", "-c", shell] if shell else [sys.executable, "-m", "greet.run", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ([], "name", "world"),
        (["name=you"], "name", "you"),
        (["name=one", "name=two"], "name", "two"),  # the last one counts
        (["name=007"], "name", "007"),
        (["name=true"], "name", "true"),
        (["name=1e3"], "name", "1e3"),
        (["name=runs (2)/a=b, c"], "name", "runs (2)/a=b, c"),
        (["name='in quotes'"], "name", "in quotes"),
        (["name=it's \\"], "name", "it's \\"),
        (["name=${style}"], "name", "plain"),
        (["times=4"], "times", 4),
        (["pause_s=2"], "pause_s", 2.0),
        (["pause_s=1e-3"], "pause_s", 0.001),
        (["style=loud"], "style", "loud"),
        (["out=2024"], "out", "2024"),
        (["out=null"], "out", None),
        (["seeds=[3,4,5]"], "seeds", (3, 4, 5)),
        (["video=5"], "video", 5),
        (["video=failures"], "video", "failures"),
    ],
)
def test_values(greet: ModuleType, arguments: list[str], field: str, value: Any) -> None:
    found = getattr(parse("greet.conf", "run", greet.Settings, arguments), field)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("nmae=you", ("nmae", "did you mean name?")),
        ("name", ("name", "key=value")),
        ("times=-3", ("times=-3", "at least 1")),
        ("times=0", ("times=0", "at least 1")),
        ("times=2.5", ("times=2.5", "whole number")),
        ("times=many", ("times=many", "whole number")),
        ("times=true", ("times=True", "whole number")),
        ("times=null", ("times", "missing")),
        ("pause_s=long", ("pause_s=long", "a number")),
        ("style=quiet", ("style=quiet", "plain or loud")),
        ("seeds=[a]", ("seeds=a", "whole number")),
        ("seeds=3", ("seeds=3", "list")),
        ("times=1,2", ("times=1,2",)),
        ("times={", ("times={",)),
        ("name=${nowhere}", ("nowhere",)),
        ("name=", ("somebody",)),
        ("+shout=1", ("shout", "no such option")),
    ],
)
def test_bad_values_name_the_option(greet: ModuleType, argument: str, words: tuple[str, ...]) -> None:
    with pytest.raises(BadInput) as error:
        parse("greet.conf", "run", greet.Settings, [argument])
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_required_option_must_be_given() -> None:
    @dataclass(frozen=True)
    class Settings:
        task: str

    with pytest.raises(BadInput, match="task: missing"):
        typed(Settings, {}, {"task": str})
    with pytest.raises(BadInput, match="task: missing"):
        typed(Settings, {"task": None}, {"task": str})


def test_choose_and_positive() -> None:
    assert choose("task", "pick", ["pick", "place"]) == "pick"
    with pytest.raises(BadInput, match=r"task=pik: unknown; valid: pick, place \(did you mean pick\?\)"):
        choose("task", "pik", ["pick", "place"])
    positive("n", 1)
    for bad in (0, -3, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="n="):
            positive("n", bad)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["name=you", "times=2"], 0, ["hello you"]),
        (["nmae=you"], 2, ["did you mean name?"]),
        (["times=-3"], 2, ["times=-3"]),
        (["name=nobody"], 2, ["not here"]),  # noticed by main
        (["--times", "3"], 2, ["--times", "times=…"]),
        (["--helf"], 2, ["--helf", "no such flag"]),
        (["name=crash"], 1, ["RuntimeError: it broke"]),
        (["--cfg", "job"], 0, ["times: 1"]),
        (["--cfg", "job", "tims=2"], 2, ["tims"]),
    ],
)
def test_exit_codes(tmp_path: Path, arguments: list[str], code: int, words: list[str]) -> None:
    done = run(*arguments, cwd=tmp_path)
    said = done.stderr if code else done.stdout
    assert done.returncode == code, done.stderr
    assert all(word in said for word in words), said
    if code == 2:
        assert len(said.strip().splitlines()) == 1 and not done.stdout, said


def test_help_tells_the_options(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("python -m greet.run", "Greets somebody", "times: 1", "# how often", "-m key=a,b,c"):
        assert word in done.stdout


def test_a_plain_run_leaves_no_files_and_starts_fast(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run(cwd=tmp_path).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5  # processor seconds: others may be at work here
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_runs_every_combination(tmp_path: Path, launcher: str) -> None:
    done = run("-m", "name=a,b", "times=1,2", "out=kept", "child=true", f"hydra/launcher={launcher}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["a-1.txt", "a-2.txt", "b-1.txt", "b-2.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "outputs"]
    assert not list(tmp_path.rglob("*.log"))


def test_a_sweep_with_a_bad_value_starts_no_job(tmp_path: Path) -> None:
    for bad in (["times=1,-3"], ["tims=1,2"], ["style=loud,quiet"], ["times=1,,"]):
        done = run("-m", "name=a", "out=kept", *bad, cwd=tmp_path)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "code"), [("nobody", 2), ("crash", 1)])
def test_a_job_that_fails_fails_the_sweep(tmp_path: Path, name: str, code: int) -> None:
    done = run("-m", f"name={name},a", "out=kept", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "kept" / "a-1.txt").exists()  # the other job ran


def test_a_folder_that_hides_a_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    assert run(cwd=tmp_path).returncode == 0  # a folder without __init__.py hides nothing
    (tmp_path / "policy" / "__init__.py").touch()
    done = run(cwd=tmp_path)
    assert done.returncode == 2 and str(tmp_path / "policy") in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    done = run(cwd=tmp_path, shell=f"{sys.executable} -m greet.run times=200000 | head -1")
    assert done.stdout == "hello world\n" and "Traceback" not in done.stderr
