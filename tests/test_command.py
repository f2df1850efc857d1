"""The command line: what is accepted, and that bad input is one line and exit 2. The example command lies in tests/example/greet."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from whatwhere.command import command, parse
from whatwhere.errors import BadInput, choose, positive
from whatwhere.settings import typed

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "tests" / "example"


@pytest.fixture
def greet(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import greet.run  # pyright: ignore[reportMissingImports]

    return greet.run


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(greet: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs the command in this process: (exit code, what it printed, what it complained of)."""
    monkeypatch.chdir(tmp_path)

    def calling(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            command("greet.conf", "run", greet.Settings, greet.main, argv=arguments)
        except SystemExit as error:
            code = int(error.code or 0)
        printed, complained = capfd.readouterr()
        return code, printed, complained

    return calling


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
        (["name=${style}"], "name", "plain"),  # the value of another option
        (["name=\\${style}"], "name", "${style}"),
        (["name=${HOME}/${nowhere}-${style}"], "name", "${HOME}/${nowhere}-plain"),  # what is no option's name is itself
        (["name=démos"], "name", "démos"),
        (["name=run=3"], "name", "run=3"),
        (["name=my demos (copy)"], "name", "my demos (copy)"),
        (["name=[x],{y: z}"], "name", "[x],{y: z}"),
        (["name= x "], "name", " x "),
        (["name='"], "name", "'"),
        (["name='a' and 'b'"], "name", "'a' and 'b'"),
        (["name=null"], "name", "null"),
        (["name=0x10"], "name", "0x10"),
        (["name=1_000"], "name", "1_000"),
        (["name=~/x"], "name", "~/x"),
        (["name=$HOME 🤖 #1\t@&*"], "name", "$HOME 🤖 #1\t@&*"),
        (["name=a,b"], "name", "a,b"),
        (["out='null'"], "out", "null"),
        (["out=run=3/é (2)"], "out", "run=3/é (2)"),
        (["++times=4"], "times", 4),
        (["times=1_000"], "times", 1000),
        (["times=${video}"], "times", 3),
        (["times=4"], "times", 4),
        (["pause_s=2"], "pause_s", 2.0),
        (["pause_s=1e-3"], "pause_s", 0.001),
        (["style=loud"], "style", "loud"),
        (["out=2024"], "out", "2024"),
        (["out=null"], "out", None),
        (["seeds=[3,4,5]"], "seeds", (3, 4, 5)),
        (["seeds=[ 3, 4 ]"], "seeds", (3, 4)),
        (["seeds=[]"], "seeds", ()),
        (["seeds=3"], "seeds", (3,)),
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
        ("times=true", ("times=true", "a whole number, at least 1, at most 1000000")),
        ("times=null", ("times", "missing")),
        ("pause_s=long", ("pause_s=long", "a number")),
        ("style=quiet", ("style=quiet", "valid: plain, loud")),
        ("seeds=[a]", ("seeds=a", "whole number")),
        ("seeds=3,4", ("seeds=3,4", "whole number", "seeds=[3,4]")),
        ("seeds={a: 1}", ("seeds", "whole number")),
        ("seeds.0=3", ("seeds.0", "no parts")),
        ("times.0=3", ("times.0", "no parts")),
        ("times=1,2", ("times=1,2", "add -m")),
        ("times={", ("times={",)),
        ("times=1000001", ("times=1000001", "at least 1, at most 1000000")),
        (f"times={10**90}", ("at most 1000000",)),
        (f"times={'9' * 5000}", ("whole number",)),
        ("times=0x10", ("times=0x10", "whole number")),
        ("times=٣", ("times=٣", "whole number")),
        ("pause_s=inf", ("pause_s=inf", "at most 60")),
        ("pause_s=-1e999", ("pause_s=-inf", "at least 0")),
        ("pause_s=nan", ("pause_s=nan", "at most 60")),
        ("style=lod", ("style=lod", "valid: plain, loud", "did you mean loud?")),
        ("video=-1", ("video=-1", "at least 0, at most 100, or failures")),
        ("video=failed", ("video=failed", "or failures")),
        ("seeds=[0,-1]", ("seeds=-1", "at least 0")),
        (f"seeds=[{2**64}]", ("at most 2147483647",)),
        (f"name={'x' * 10_001}", ("name=x", "10001 characters", "10000")),
        ("name=${name}", ("Recursive interpolation",)),
        ("hydra=null", ("hydra", "no such option")),
        ("hydra/launcher=bogus", ("hydra/launcher=bogus", "valid: basic, joblib")),
        ("hydra/launcher=null", ("hydra/launcher=null",)),
        ("hydra.mode=zzz", ("hydra.mode=zzz",)),
        ("~name=world", ("~name", "no such option")),
        ("name@x=y", ("name@x", "no such option")),
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
        (["name=giant"], 1, ["not enough memory"]),
        (["--cfg", "job"], 0, ["times: 1"]),
        (["--cfg=job", "--package", "_global_", "--resolve"], 0, ["times: 1"]),
        (["--info"], 0, ["times: 1"]),
        (["--cfg", "job", "tims=2"], 2, ["tims"]),
        (["--cfg", "zzz"], 2, ["--cfg=zzz", "valid: job, hydra, all"]),
        (["--cfg"], 2, ["--cfg", "needs a word"]),
        (["--cfg", "job", "--package", "nope"], 2, ["nope"]),
        (["--info", "zzz"], 2, ["zzz"]),
        (["--package", "x"], 2, ["--cfg"]),
        (["--resolve"], 2, ["--cfg"]),
        (["--config-dir", "/nope"], 2, ["/nope", "no such folder"]),
        (["--config-dir"], 2, ["--config-dir", "needs a word"]),
        (["--config-dir", ".", "name=a,b"], 0, ["hello a,b"]),
        (["--experimental-rerun", "x"], 2, ["--experimental-rerun", "no such flag"]),
        (["-m"], 0, ["hello world"]),  # nothing to sweep over
        (["-m", "name=nobody"], 2, ["not here"]),
        (["-m=3"], 2, ["no such flag"]),
        (["-5"], 2, ["-5"]),
        (["-m", "hydra/launcher=bogus"], 2, ["hydra/launcher", "bogus"]),
        (["-m", "hydra/sweeper=null"], 2, ["hydra/sweeper=null"]),
        (["-m", "hydra.launcher=null", "times=1,2"], 2, ["hydra.launcher=null"]),
        (["-m", "hydra.launcher._target_=os.system"], 2, ["os.system"]),
        (["-m", "hydra.sweep.dir=/proc/x", "times=1,2"], 2, ["hydra.sweep.dir=/proc/x"]),
        (["-m", "hydra.sweep.subdir=/proc/x", "times=1,2"], 2, ["/proc/x"]),
        (["-m", "times=range(0,1000000000)"], 2, ["times=range", "10000"]),
        (["-m", "times=range(5,5)"], 2, ["times=range(5,5)", "no values"]),
        (["-m", "times=range(1,"], 2, ["times=range(1:"]),
        (["-m", "times=sort(2,x"], 2, ["times=sort(2:"]),
        (["-m", "times=range(1,9999)", "video=1,2,3"], 2, ["10000 jobs"]),
        (["out=/proc/x"], 2, ["out=/proc/x", "/proc"]),
        (["out=/dev/null"], 2, ["out=/dev/null"]),
        ([f"out={'x' * 256}"], 2, ["out=xxx", "255"]),
        ([f"out={'x/' * 2100}"], 2, ["out=x/x", "4095"]),
        ([os.fsdecode(b"out=d\xe9mos")], 2, ["out=d", "UTF-8"]),
        ([os.fsdecode(b"\xff")], 2, ["UTF-8"]),
        ([f"name={'x' * 5000}", "style=x"], 2, ["style=x"]),
    ],
)
def test_exit_codes(call: Call, arguments: list[str], code: int, words: list[str]) -> None:
    found, printed, complained = call(*arguments)
    said = complained if code else printed
    assert found == code, complained
    assert all(word in said for word in words), said
    if code == 2:
        assert len(said.strip().splitlines()) == 1 and len(said) < 1600 and not printed, said


def test_a_fault_of_the_code_is_a_traceback(tmp_path: Path) -> None:
    done = run("name=crash", cwd=tmp_path)
    assert done.returncode == 1 and "RuntimeError: it broke" in done.stderr


def test_what_is_echoed_is_cut_and_can_be_shown(call: Call) -> None:
    long = (f"times={'9' * 5000}", "style=" + "ab c" * 2000, "t" * 5000 + "=3", f"seeds=[{'1,' * 3000}x]", f"--{'z' * 9000}")
    for argument in (*long, "style=\x1b[31m\r\x07\n"):
        code, _, complained = call(argument)
        assert code == 2 and len(complained.strip().splitlines()) == 1 and len(complained) < 1000, complained
        assert complained.strip().isprintable(), repr(complained)


def test_help_tells_the_options(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("python -m greet.run", "Greets somebody", "times: 1", "# how often", "-m key=a,b,c"):
        assert word in done.stdout


def test_help_tells_what_each_option_may_be(tmp_path: Path) -> None:
    lines = run("--help", cwd=tmp_path).stdout.splitlines()
    for option, kind in (
        ("times: 1", "# how often [a whole number, at least 1, at most 1000000]"),
        ("style: plain", "# [plain or loud]"),
        ("seeds: [0, 1]", "a list, each a whole number, at least 0"),
        ("video: 3", "[a whole number, at least 0, at most 100, or failures]"),
        ("out: null", "[a folder, or null]"),
        ("child: false", "[true or false]"),
    ):
        assert any(option in line and kind in line for line in lines), option


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


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_takes_texts_as_they_stand(tmp_path: Path, launcher: str) -> None:
    names = ["run=3", "démos", "my demos (a, b)", "1e3", "true", "null", "~", "it's", "${HOME}", "🤖 x", "'"]
    done = run("-m", f"name={', '.join(names)},'a,b',c\\,d", "out=kept (2)/[x]", f"hydra/launcher={launcher}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "kept (2)" / "[x]").iterdir()} == {f"{name}-1.txt" for name in [*names, "a,b", "c,d"]}


def test_a_sweep_over_lists_and_with_functions(greet: ModuleType) -> None:
    from whatwhere.hints import hints_of
    from whatwhere.overrides import choices

    hints = hints_of(greet.Settings)
    assert choices("seeds=[1,2],3,[]", hints, {}) == ["seeds=[1,2]", "seeds=[3]", "seeds=[]"]
    assert choices("times=range(1,4)", hints, {}) == ["times=1", "times=2", "times=3"]
    assert choices("name=choice(a, b=c)", hints, {}) == ["name='a'", "name='b=c'"]
    assert choices("out=null,'null'", hints, {}) == ["out=null", "out='null'"]


def test_any_text_comes_through(greet: ModuleType) -> None:
    """Through quoting, Hydra's grammar, OmegaConf's interpolations and sweeps."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    from whatwhere.hints import hints_of
    from whatwhere.overrides import choices, override
    from whatwhere.pieces import quoted, spelled

    rng, hints = random.Random(0), hints_of(greet.Settings) | {"words": tuple[str, ...]}
    signs = [*"ab'\"\\,[]() ${}=:éß🤖\n\t#&*!%@~1./-_", "${x", "null", "true", "e3"]
    parser = OverridesParser.create()

    def said(words: str) -> Any:
        return OmegaConf.to_container(OmegaConf.create({"at": parser.parse_override(words).value()}), resolve=True)["at"]  # type: ignore[index, call-overload]

    for _ in range(500):
        texts = ["".join(rng.choice(signs) for _ in range(rng.randrange(9))) for _ in range(3)]
        assert said(override(spelled("name", texts[0]), hints, {})) == texts[0]
        assert said(override(spelled("words", texts), hints, {})) == texts
        swept = [one.partition("=")[2] for one in choices("name=" + ",".join(map(quoted, texts)), hints, {})]
        jobs = BasicSweeper.split_arguments(parser.parse_overrides([f"name={','.join(swept)}"]), None)
        assert [said(word) for batch in jobs for job in batch for word in job] == texts


def test_a_sweep_with_a_bad_value_starts_no_job(tmp_path: Path) -> None:
    for bad in (["times=1,-3"], ["tims=1,2"], ["style=loud,quiet"], ["times=1,,"]):
        done = run("-m", "name=a", "out=kept", *bad, cwd=tmp_path)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "code"), [("nobody", 2), ("crash", 1)])
def test_a_job_that_fails_fails_the_sweep(tmp_path: Path, name: str, code: int) -> None:
    done = run("-m", f"name={name},a", "out=kept", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert code == 1 or len(done.stderr.splitlines()) == 1, done.stderr
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
