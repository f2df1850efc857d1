"""Cells on this machine and on clusters: one process at a time carries one out, a dead one holds nothing up, what is done is not done again."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eval import study
from eval.launching import carrying, elsewhere, lease, many, process
from eval.launching.job import Job, read_job
from eval.study import Settings
from tests.disks import ROOT, one_line, run
from tests.eval.test_report import fill
from whatwhere.errors import BadInput, Failed
from whatwhere.settings import parse

HOLD = """
import sys, time
from filelock import SoftFileLease
lease = SoftFileLease(sys.argv[1], lease_duration=float(sys.argv[2]))
lease.acquire()
print(flush=True)
time.sleep(60)
"""


def settings(*words: str) -> Settings:
    return parse("eval.conf", "study", Settings, ["study.tasks=[pick_at_xy]", "study.num_demos=[5]", *words])


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("a", str(tmp_path), (("policy.finetune", "seed=0"), ("eval.run", "seed=1")), ("rows/a",), 4, 1, tmp_path / "cells")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The modules that were run; `eval.run` leaves what a job waits for."""
    modules: list[str] = []

    def run(words: tuple[str, ...], log: Path, folder: str) -> str:
        modules.append(words[0])
        if words[0] == "eval.run":
            fill(tmp_path / "rows" / "a", "pixelwise", 2, n=4)
        return "said"

    monkeypatch.setattr(carrying, "run", run)
    process.begin()
    return modules


def holder(path: Path, seconds: float = lease.LEASE_S) -> subprocess.Popen[str]:
    """A process that holds a lease."""
    path.parent.mkdir(exist_ok=True)
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "\n"
    return other


def test_a_job_is_a_file(job: Job) -> None:
    job.write()
    assert read_job(job.file) == job
    told = json.loads(job.file.read_text())
    for key, value, says in (
        ("commands", [{"module": "os", "words": []}], "commands"), ("commands", [], "commands"), ("episodes", "x", "episodes"), ("folder", 5, "folder"),
    ):  # fmt: skip
        job.file.write_text(json.dumps(told | {key: value}))
        with pytest.raises(BadInput, match=says):
            read_job(job.file)
    job.file.write_text(json.dumps(told | {"folder": "/nowhere"}))
    with pytest.raises(Failed, match="all machines of a study need the same folders"):
        read_job(job.file)
    one_line(run("eval.cell", str(job.place / "b.json")), 2, "b.json", "no such file")


def test_results_of_other_settings_are_not_taken_for_those_that_are_asked_for(job: Job) -> None:
    other = replace(job, commands=(("policy.finetune", "seed=0", "steps=5"), *job.commands[1:]))
    elsewhere = replace(job, commands=(("policy.finetune", "seed=0", "out=x", "cache=/local", "num_threads=2"), ("eval.run", "seed=1", "video=3")))
    other.check_same()  # nothing is there
    job.write()
    other.check_same()  # begun, not done: policy.finetune refuses its folder, if anything was trained
    fill(Path(job.folder) / "rows" / "a", "pixelwise", 2, n=4)
    job.check_same()
    elsewhere.check_same()
    with pytest.raises(BadInput, match=r"holds a of other settings \(without them; now steps=5\); choose another out="):
        other.check_same()
    other.write()
    with pytest.raises(BadInput, match=r"\(steps=5; now without them\)"):
        job.check_same()


def test_one_process_at_a_time_and_nothing_twice(job: Job, asked: list[str]) -> None:
    other, said = holder(job.lease), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "LOOK_S", 0.05)
        waiting = threading.Thread(target=lambda: said.append(carrying.carry_out(job, said.append)))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive() and not asked and said == ["a: another process carries it out; waiting for it"]
        fill(Path(job.folder) / "rows" / "a", "pixelwise", 2, n=4)
        other.kill()  # its process is gone from this machine: at once, long before LEASE_S
        other.wait()
        waiting.join(20)
    assert said[1:] == [carrying.THERE] and not asked, "it is done by then"
    assert not job.lease.exists()


def test_a_dead_process_holds_nothing_up(job: Job, asked: list[str]) -> None:
    other = holder(job.lease)
    other.kill()
    other.wait()
    assert carrying.carry_out(job, print) == "said" and asked == ["policy.finetune", "eval.run"]


def test_a_dead_machine_holds_nothing_up_for_ever(job: Job, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 1.0)
    monkeypatch.setattr(lease, "LOOK_S", 0.1)
    other = holder(job.lease, 1.0)
    other.kill()
    other.wait()
    marker = job.lease.read_text()
    from filelock._identity import host_name

    assert host_name() in marker
    job.lease.write_text(marker.replace(host_name(), "another-machine"))
    said: list[str] = []
    assert carrying.carry_out(job, said.append) == "said" and len(said) == 1, "it was waited for, and then taken over"


def test_whoever_waits_can_be_ended(job: Job, asked: list[str]) -> None:
    other = holder(job.lease)
    try:
        process.end_all()
        with pytest.raises(Failed, match="interrupted"):
            carrying.carry_out(job, print)
    finally:
        other.kill()
        other.wait()
        process.begin()
    assert not asked


class Mortal:
    """A launcher whose workers die so many times."""

    where = "nowhere"

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths

    def run(self, job: Job) -> str:
        self.deaths -= 1
        if self.deaths >= 0:
            raise process.Died("policy.finetune: killed (SIGKILL)")
        return carrying.carry_out(job, print)

    def end(self) -> None: ...


def test_a_cell_whose_process_died_is_begun_again(job: Job, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert many.carry_out_all(Mortal(2), [job], 1, 1, retries=2) == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"a: policy.finetune: killed (SIGKILL); begun again, {n} of 2" for n in (1, 2)]
    assert lines[2].startswith("1/1 a: said · ") and asked == ["policy.finetune", "eval.run"]


def test_but_not_for_ever(job: Job, asked: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = Job("b", str(tmp_path), job.commands, ("rows/a",), 4, 1, job.place)
    (line,) = many.carry_out_all(Mortal(3), [job, other], 2, 1, retries=2)
    assert line == f"a: failed: policy.finetune: killed (SIGKILL), the last of 3 times · log: {job.log}"
    assert "2/2 b: said" in capsys.readouterr().out, "the others go on"


def test_what_comes_before_all_cells_is_begun_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deaths = [process.Died("envs.demos.collect: killed (SIGKILL)")] * 2

    def run(words: list[str], log: Path) -> None:
        if deaths:
            raise deaths.pop()

    monkeypatch.setattr(study, "run", run)
    with pytest.raises(Failed, match=r"killed \(SIGKILL\); give the same command again · log: "):
        study._first(["python", "-m", "envs.demos.collect"], tmp_path / "log", retries=0)
    study._first(["python", "-m", "envs.demos.collect"], tmp_path / "log", retries=1)
    assert not deaths


def test_a_command_that_is_killed_died_and_one_that_fails_did_not(tmp_path: Path) -> None:
    process.begin()
    (tmp_path / "shot.py").write_text("import os; print('here', flush=True); os.kill(os.getpid(), 9)")
    with pytest.raises(process.Died, match=r"shot: killed \(SIGKILL\)"):
        process.run(["shot"], tmp_path / "log", str(tmp_path))
    assert (tmp_path / "log").read_text() == "$ python -m shot\nhere\n"
    for ended, kind in (((-9, "x"), process.Died), ((137, "no message"), process.Died), ((143, "x"), process.Died), ((1, "x"), Failed), ((2, "x"), Failed)):
        with pytest.raises(kind):
            elsewhere.told(ended)
    assert elsewhere.told((0, "x")) == "x"
    assert elsewhere.run_cell("eval.cell", str(tmp_path / "none"), str(tmp_path))[0] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["launcher=slum"], "did you mean slurm?"),
        (["address=auto"], "address=auto: is for launcher=ray alone; launcher=local has no use for it"),
        (["launcher=slurm", "address=auto", "plan=true"], "address=auto: is for launcher=ray alone"),
        (["slurm={partition: cpu}"], "is for launcher=slurm alone"),
        (["gpus=1"], "gpus=1: is for launcher=ray or slurm alone"),
        (["gpus=-1"], "gpus=-1"),
        (["cpus=0"], "cpus=0: must be at least 1"),
        (["retries=-1"], "retries=-1"),
        (["jobs=257"], "jobs=257: must be at least 1, at most 256"),
        (["launcher=ray", "jobs=10001", "plan=true"], "jobs=10001"),
    ],
)
def test_bad_launchers_are_refused(words: list[str], says: str) -> None:
    with pytest.raises(BadInput) as refusal:
        settings(*words)
    assert says in str(refusal.value)


@pytest.mark.parametrize(("launcher", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_extra_is_named(launcher: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    really = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else really(name, *rest))
    with pytest.raises(BadInput) as refusal:
        settings(f"launcher={launcher}")
    assert str(refusal.value) == f"launcher={launcher}: needs {package}, not installed here; run: pip install 'whatwhere[{launcher}]'"
    assert settings(f"launcher={launcher}", "plan=true").launcher == launcher, "a plan can be looked at anywhere"


def test_nothing_of_a_cluster_is_imported_unless_asked_for() -> None:
    code = (
        "import sys, eval.study, eval.cell; from eval.launching.local import Local; print(sorted({'ray', 'submitit', 'filelock', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_parameters_of_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="needs submitit: pip install 'whatwhere[slurm]'")
    from eval.launching.on_slurm import OnSlurm

    given = "slurm={cluster: local, partition: cpu, mem_gb: 4, slurm_qos: low}"
    with OnSlurm(settings("launcher=slurm", "cpus=2", given, f"out={tmp_path}")) as launcher:
        assert launcher.parameters == {"name": "whatwhere", "cpus_per_task": 2, "slurm_partition": "cpu", "mem_gb": 4, "slurm_qos": "low", "timeout_min": 240}
    with OnSlurm(settings("launcher=slurm", "slurm={cluster: local, time: 90}", f"out={tmp_path}")) as launcher:
        assert launcher.parameters["slurm_time"] == 90 and "timeout_min" not in launcher.parameters
    unknown = r"slurm\.partitoin: no such parameter; valid: cluster, account.*did you mean partition"
    with pytest.raises(BadInput, match=unknown), OnSlurm(settings("launcher=slurm", "slurm={cluster: local, partitoin: cpu}")):
        pass
    for odd in ("time: nan", "time: 1e400", "timeout_min: -5", "mem_gb: -0.5"):
        with pytest.raises(BadInput, match=rf"slurm\.{odd.partition(':')[0]}=.*: needs a number from 0 on"):
            OnSlurm(settings("launcher=slurm", f"slurm={{cluster: local, {odd}}}"))
    with pytest.raises(BadInput, match=r"slurm.cluster=lokal: unknown; valid: slurm, local"):
        OnSlurm(settings("launcher=slurm", "slurm.cluster=lokal"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="there is no sbatch here"):
        OnSlurm(settings("launcher=slurm"))


class NoRay:
    """Ray, as far as it comes to."""

    def __init__(self, starts: int) -> None:
        self.left, self.begun = starts, 0

    def init(self, **_: object) -> None:
        self.begun += 1
        if self.left != self.begun:
            raise Exception("The current node timed out\nduring startup.")

    def shutdown(self) -> None: ...

    def remote(self, **_: object) -> object:
        return lambda task: task

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}


def test_a_ray_that_does_not_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from eval.launching.on_ray import OnRay

    here, there, large = (settings("launcher=ray", "plan=true", *words) for words in ((), ("address=auto",), ("cpus=3",)))
    for plan, kind, says in (
        (here, Failed, "launcher=ray: Ray did not start here: The current node timed out during startup."),
        (there, BadInput, "address=auto: The"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "ray", NoRay(0))
            with pytest.raises(kind, match=says), OnRay(plan):
                pass
    monkeypatch.setitem(sys.modules, "ray", NoRay(2))
    with OnRay(here):
        assert sys.modules["ray"].begun == 2, "it is tried again"
    monkeypatch.setitem(sys.modules, "ray", NoRay(1))
    with pytest.raises(BadInput, match="cpus=3: the Ray cluster has 2"), OnRay(large):
        pass
    began = time.process_time()
    with (
        pytest.raises(BadInput, match=r"address=127.0.0.1:1: no Ray cluster answers there"),
        OnRay(settings("launcher=ray", "plan=true", "address=127.0.0.1:1")),
    ):
        pass
    assert time.process_time() - began < 5


def test_a_cell_has_the_cores_it_was_given() -> None:
    words = "study.methods={pixelwise: null}", "study.baseline=null"
    for more, threads in ((["jobs=2"], 1), (["jobs=2", "cpus=3"], 3), (["launcher=ray", "plan=true"], 1), (["launcher=slurm", "cpus=4", "plan=true"], 4)):
        plan = settings(*words, *more)
        (cell,) = plan.cells()
        train, play = plan.commands(cell)
        assert f"num_threads={threads}" in train and f"num_envs={threads}" in play
    alone = settings(*words)
    assert not any("num_threads" in word or "num_envs" in word for line in alone.commands(cell) for word in line), "as ever"
    assert "cache=/scratch/tokens" in settings(*words, "cache=/scratch/tokens").train(cell)


def test_many_cells_are_looked_at_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs by its training seed alone is checked once."""
    parsed: list[object] = []
    monkeypatch.setattr(study, "parse", lambda *words: parsed.append(words))
    plan = settings("study.train_seeds=[" + ",".join(map(str, range(500))) + "]")
    assert len(list(plan.cells())) == 1500 and len(parsed) == 3
