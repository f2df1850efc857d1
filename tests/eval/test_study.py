"""A plan of trainings and evaluations: the right commands, once each, a table of what is there, and failures that do not stop the others."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from eval import study
from eval.launching import carrying, process
from eval.study import Settings
from tests.disks import ROOT, run
from tests.eval.test_report import fill
from whatwhere.command import parse
from whatwhere.errors import BadInput, Failed


def settings(*words: str) -> Settings:
    return parse("eval.conf", "study", Settings, list(words))


def test_a_study_of_ones_own_may_leave_out_what_is_then_given(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text("tasks: [pick_at_xy]\nmethods: {pixelwise: }\nnum_demos: [5]\ntrain_seeds: [0]\nperturbations: [null]\n")
    words = ["--config-dir", str(tmp_path), "study=mine", "study.conditions={which: {motion: which}}", "plan=true"]
    done = subprocess.run([sys.executable, "-m", "eval.study", *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].endswith("motion=which n=5 seed=0 out=data/pick_at_xy_which")


def test_a_sweep_over_studies() -> None:
    words = ["-m", "study=tasks,unfrozen", "study.methods={avg_late: {steps: 3}}", "study.baseline=null", "plan=true"]
    done = subprocess.run([sys.executable, "-m", "eval.study", *words], capture_output=True, text=True, check=True)
    trained = [line for line in done.stdout.splitlines() if "policy.finetune" in line]
    assert len(trained) == 6 and all("encoder=avg_late steps=3" in line for line in trained)


@pytest.mark.parametrize(
    "name", ["tasks", "strategies", "few_demos", "perturbations", "heads", "change", "latency", "planned", "language", "streams", "fusions"]
)
def test_every_study_is_whole(name: str) -> None:
    plan = settings(f"study={name}")
    names = [cell.name for cell in plan.cells()]
    assert len(set(names)) == len(names) >= 6


def test_planners_over_a_model_of_other_actions() -> None:
    """It is trained once, before them; goals are asked of an inverse model at evaluation."""
    plan = settings("study=planned", "study.tasks=[pick_at_xy]", "study.inverses.play.task=[pick_at_xy,place_left_of]", "out=here", "demos=there")
    assert [shlex.join(words[1:]) for words in plan.collections()] == [
        "-m envs.demos.collect task=pick_at_xy n=25 seed=0 out=there/pick_at_xy",
        "-m envs.demos.collect task=pick_at_xy source=play n=50 seed=0 out=there/pick_at_xy_play",
        "-m envs.demos.collect task=place_left_of source=play n=50 seed=0 out=there/place_left_of_play",
    ]
    [of_play] = [shlex.join(words[1:]) for words in plan.inverses()]
    assert "'demos=[there/pick_at_xy_play,there/place_left_of_play]'" in of_play and of_play.endswith("out=here/inverses/play") and "source=" not in of_play
    cells = {cell.method: cell for cell in plan.cells()}
    assert {"inverse=here/inverses/play", "actions=none"} < set(plan.train(cells["videos"])) and "actions=5" in plan.train(cells["videos_and_5"])
    assert not any(word.startswith(("inverse=", "goal=")) for word in plan.train(cells["planned"]))
    _, video, picture = plan.commands(cells["goals"])
    assert "goal=video" in video and "goal=picture" in picture and video[-1] != picture[-1]
    assert "change=future" in plan.train(cells["goals"]) and not any(word.startswith("goal=") for word in plan.train(cells["goals"]))
    others = settings("study=planned", "study.inverses={play: {task: [stack_centered], num_demos: 50}}", "out=here", "demos=there")
    assert [shlex.join(words[1:]) for words in others.inverses()] == [
        "-m policy.finetune head=planned change=future 'task=[stack_centered]' num_demos=50 'demos=[there/stack_centered]' out=here/inverses/play"
    ]
    with pytest.raises(BadInput, match=r"study\.inverses\.stack: needs task and num_demos"):
        settings("study=planned", "study.inverses={stack: {task: stack_centered}}")
    with pytest.raises(BadInput, match=r"study\.inverses: source='browser': needs play, or nothing"):
        settings("study=planned", "study.inverses.play.source=browser")
    with pytest.raises(BadInput, match=r"study\.inverses\.play: source=play: a hand plays with what lies on a table"):
        settings("study=planned", "study.inverses.play.task=[navigate_to]")
    with pytest.raises(BadInput, match="head=l1 has no planner"):
        settings("study=planned", "study.inverses.play.head=l1")


def test_the_commands_of_a_cell() -> None:
    plan = settings("study=perturbations", "study.tasks=[stack_centered]", "study.num_demos=[5]", "out=here", "episodes=7", "jobs=2")
    cell = next(cell for cell in plan.cells() if cell.method == "pixelwise_random")
    train, *evaluations = [shlex.join(words[1:]) for words in plan.commands(cell)]
    assert train == (
        "-m policy.finetune task=stack_centered encoder=pixelwise streams=random demos=data/stack_centered num_demos=5 seed=0 "
        "out=here/policies/stack_centered_pixelwise_random_n5_s0 num_threads=1"
    )
    assert [words.rpartition("out=here/rows/stack_centered_pixelwise_random_n5_s0_")[2] for words in evaluations] == ["light", "camera", "distractors"]
    assert "episodes=7 seed=200000 video=0 num_envs=1 perturbation=light" in evaluations[0]


def test_version_1_is_collected_trained_and_evaluated_apart_from_version_0() -> None:
    words = ["study=tasks", "study.tasks=[pick_at_xy]", "study.methods={pixelwise: null}", "study.baseline=null"]
    old, new = settings(*words), settings(*words, "study.version=1", "study.splits=[null,unseen_words]")
    cell = next(new.cells())
    assert "version=1" in new.collect("pick_at_xy") and not any("version" in word for word in old.collect("pick_at_xy"))
    assert new.folder("pick_at_xy") == old.folder("pick_at_xy") + "-v1" and new.policy(cell) == old.policy(cell) + "-v1"
    train, *evaluations = new.commands(cell)
    assert f"demos={new.folder('pick_at_xy')}" in train and len(evaluations) == 2
    assert [any(word == "split=unseen_words" for word in words) for words in evaluations] == [False, True]
    assert len({plan.rows(cell, play) for plan in (new, old) for play in plan.plays(cell)}) == 3
    with pytest.raises(BadInput, match="version 0 of a task has one instruction"):
        settings(*words, "study.splits=[unseen_words]")
    with pytest.raises(BadInput, match="version=1: task=robosuite/Lift has none"):
        settings("study=tasks", "study.tasks=[robosuite/Lift]", "study.methods={pixelwise: null}", "study.baseline=null", "study.version=1")


def test_parts_are_read_as_the_options_they_are() -> None:
    words = ("study.tasks=pick_at_xy", "study.num_demos=5", "study.perturbations=[null,light]", "study.methods.mine={encoder: avg_late}", "out=ma thèse (2)")
    plan = settings(*words, "study.methods.mine.streams=réseaux (a=b), [x]", "study.methods.mine.steps=7", "study.baseline=avg_late")
    cells = {cell.method: cell for cell in plan.cells()}
    assert {(cell.task, cell.num_demos) for cell in cells.values()} == {("pick_at_xy", 5)}
    train, *evaluations = plan.commands(cells["mine"])
    assert "streams=réseaux (a=b), [x]" in train and "steps=7" in train and "out=ma thèse (2)/policies/pick_at_xy_mine_n5_s0" in train
    assert len(evaluations) == 2 and "perturbation=light" in evaluations[1]
    only = settings("study.methods={cnn_keypoints: {steps: 9}}", "study.baseline=null")  # a whole mapping stands in place of the file's, not beside it
    assert {(cell.method, cell.options["steps"]) for cell in only.cells()} == {("cnn_keypoints", 9)}
    assert [cell.num_demos for cell in settings("study.num_demos=[5,10]", "study.tasks=[pick_at_xy]").cells()][::3] == [10, 5]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study=few"], "did you mean few_demos?"),
        (["study.tasks=[pick_at_xz]"], "did you mean pick_at_xy?"),
        (["study.tasks=[]"], "study.tasks=[]: name at least one"),
        (["study.num_demos=[0]"], "num_demos=0"),
        (["study.tasks=5"], "study.tasks=5"),
        (["study.num_demos=x"], "study.num_demos=x"),
        (["study.num_demos=5,10"], "study.num_demos=[5,10]"),
        (["study.train_seeds=[-1]"], "study.train_seeds=-1"),
        (["study=null"], "study=null: unknown; valid: change, few_demos"),
        (["study={}"], "study={}: unknown"),
        (["study.methods=5"], "study.methods=5: needs a mapping {name: value, …}"),
        (["study.methods.mine={out: x}"], "study.methods.mine.out='x': the study itself gives out; leave it out"),
        (["study.methods.mine={encodr: pixelwise}"], "study.methods.mine.encodr: no such option; valid: goal, corrections, encoder"),
        (["study.methods.mine={encoder: pixelwise, steps: x}"], "study.methods.mine: steps=x: needs a whole number"),
        (["study.methods.mine={encoder: pixelwise, goal: vidio}"], "study.methods.mine: goal=vidio: valid: picture, video"),
        (["study.methods={../mine: {encoder: pixelwise}}", "study.baseline=null"], "study.methods.../mine: names a folder; needs a name without /"),
        (["study.conditions={a: {motion: moving, sped: [6,12]}}"], "study.conditions.a.sped: no such option; valid: motion, speed"),
        (["study.conditions={a: {motion: moving, speed: [12,6]}}"], "study.conditions.a: speed=[12,6]"),
        (["study.conditions={a b: {}, a_b: {motion: which}}"], "study.conditions: 'a_b' stands there twice"),
        (["study.inverses={a: {task: {b: 1}, num_demos: 5}}"], "study.inverses: task={'b': 1}: needs a task, or several"),
        (["study.inverses={a: {task: pick_at_xy, num_demos: 5, demos: x}}"], "study.inverses.a.demos='x': the study itself gives demos"),
        (["study.train_seeds=[0,1,0]"], "study.train_seeds: 0 stands there twice"),
        (["study.without=[m,m]"], "study.without: 'm' stands there twice"),
        (["out="], "out=: names nothing; for the folder that you are in, write out=."),
        (["study.methods=" + "{a:" * 1500 + "1" + "}" * 1500], "study.methods={a:{a:"),
        (["study.methods=" + "x" * 100_000], "100000 characters long"),
        (["study.methods." + "a." * 2000 + "b=3"], "no such option"),
        (["study.methods.a={1: 2}"], "study.methods.a.1: needs a name"),
        (["study.baseline=" + "x" * 100_000], "at most 200"),
        (["study.methods.mine=5"], "study.methods"),
        (["study.method=5"], "study.methods"),
        (["study.methods.pixelwise.lr=1e30"], "lr=1e+30: must be above 0, at most 1"),
        (["study.perturbations=[fog]"], "study.perturbations=fog"),
        (["study.baseline=cnn"], "no method has it"),
        (["+study.methods.mine={encoder: pixelwize}"], "did you mean pixelwise?"),
        (["+study.methods.mine={encoder: pixelwise, stepps: 3}"], "stepps"),
        (["jobs=0"], "jobs=0"),
    ],
)
def test_bad_plans_are_refused_before_any_job(words: list[str], message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        settings(*words)
    assert message in str(refusal.value)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules that were asked for; an evaluation is made up, that of `broken` fails."""
    modules: list[str] = []

    def run(words: Sequence[str], log: Path, folder: str | None = None) -> str:
        modules.append(words[0])
        options = dict(word.split("=", 1) for word in words[1:])
        if words[0] == "eval.run":
            if "cnn_keypoints" in options["checkpoint"] and (tmp_path / "broken").exists():
                raise Failed("eval.run: no space left")
            encoder = "avg_late" if "avg_late" in options["out"] else "pixelwise"
            fill(
                Path(options["out"]), encoder, 17 if encoder == "pixelwise" else 4, task=options["task"], n=int(options["episodes"]), seed=int(options["seed"])
            )
        return "success 0.85 …"

    for module in (study, carrying):
        monkeypatch.setattr(module, "run", run)
    return modules


def test_a_study_is_carried_out_once(asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = settings("study.tasks=[pick_at_xy,navigate_to]", f"out={tmp_path}", "episodes=20", "jobs=2")
    (tmp_path / "broken").touch()
    with pytest.raises(SystemExit) as ended:
        study.main(plan)
    assert ended.value.code == 1
    out = capsys.readouterr()
    assert "pick_at_xy_cnn_keypoints_n25_s0: failed: eval.run: no space left" in out.err
    assert sorted(asked) == ["envs.demos.collect"] * 2 + ["eval.run"] * 6 + ["policy.finetune"] * 6
    assert "<0.001" in out.out, "what did not fail is in the table"
    assert (tmp_path / "study.csv").read_text().count("\n") == 5
    (tmp_path / "broken").unlink()
    asked.clear()
    study.main(plan)
    assert asked.count("eval.run") == 2, "only what is missing"
    assert "4 of 6 policies are there already" in capsys.readouterr().out
    asked.clear()
    study.main(settings("study.tasks=[pick_at_xy,navigate_to]", f"out={tmp_path}", "episodes=30"))
    assert asked.count("eval.run") == 6, "what was done on fewer starts is not done"


def test_a_plan_is_printed(asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study.main(settings("study=strategies", "plan=true", f"out={tmp_path / 'not_made'}"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and lines[0].startswith("python -m envs.demos.collect task=pick_at_xy n=25")
    assert all("python -m policy.finetune" in line and " && python -m eval.run" in line for line in lines[1:])
    assert not asked and not (tmp_path / "not_made").exists()


def test_a_real_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="did you mean pick_at_xy"):
        process.run(["eval.run", "task=pick_at_xz"], tmp_path / "log")
    assert (tmp_path / "log").read_text().startswith("$ python -m eval.run task=pick_at_xz\n")


def test_a_killed_study_leaves_nobody_behind_and_ends_with_the_same_table(tmp_path: Path) -> None:
    """Killed in all its phases. Ties and several trainings of a recipe are in the table, so that its order is not given by its figures."""
    words = ["study.tasks=[pick_at_xy,navigate_to]", "study.train_seeds=[0,1]", "episodes=5", "jobs=2"]
    pids = tmp_path / "pids"
    more = {"FAKE_PIDS": str(pids), "FAKE_DELAY": "0.2"}
    argv = [sys.executable, "-m", "tests.eval.fake_study", *words]
    done = run("tests.eval.fake_study", *words, f"out={tmp_path / 'whole'}", more=more)
    assert done.returncode == 0, done.stderr
    chance = random.Random(0)
    for _ in range(4):
        pids.unlink(missing_ok=True)
        out = f"out={tmp_path / 'killed'}"
        process = subprocess.Popen([*argv, out], cwd=ROOT, env=os.environ | more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not pids.exists() or len(pids.read_text().splitlines()) < 4:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 2))
        process.kill()
        process.wait()
        deadline = time.monotonic() + 2
        while left := [pid for pid in map(int, pids.read_text().split()) if is_running(pid)]:
            assert time.monotonic() < deadline, f"{left} live on"
            time.sleep(0.01)
    done = run("tests.eval.fake_study", *words, out, more=more)
    assert done.returncode == 0, done.stderr
    for name in ("study.csv", "study.md", "study.tex", "trainings.csv", "trainings.md"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not [path for path in (tmp_path / "killed").rglob(".*") if path.name != ".lock"]


def test_an_interrupted_study_ends_what_it_began(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    more = {"FAKE_PIDS": str(pids), "FAKE_DELAY": "60"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.eval.fake_study", "study.tasks=[pick_at_xy]", f"out={tmp_path / 'out'}", f"demos={tmp_path / 'demos'}", "jobs=2"],
        cwd=ROOT, env=os.environ | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not pids.exists() or len(pids.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # to it alone, as a batch system does
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "carries on" in errors.splitlines()[-1], errors
    deadline = time.monotonic() + 30
    while [pid for pid in map(int, pids.read_text().split()) if is_running(pid)]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_command_slips_past_an_interruption(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither one that is just being started, nor one in which the signal gets lost, nor one that would come next."""
    really, begun = subprocess.Popen, threading.Event()

    def slowly(*words: Any, **options: Any) -> Any:
        begun.set()
        process = really(*words, **options)
        time.sleep(0.5)
        return process

    monkeypatch.setattr(subprocess, "Popen", slowly)
    monkeypatch.setattr(process, "ENDING_S", 1)
    (tmp_path / "deaf.py").write_text("import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)")
    deaf = ["deaf"], tmp_path / "log", str(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        try:
            future = pool.submit(process.run, *deaf)
            assert begun.wait(30)
            process.end_all()
            with pytest.raises(process.Died):
                future.result(timeout=30)
            begun.clear()
            with pytest.raises(Failed, match="interrupted"):
                process.run(*deaf)
            assert not begun.is_set() and not process._running
        finally:
            process.begin()


def test_the_order_of_folders_does_not_matter(tmp_path: Path) -> None:
    """Where figures are equal, what an entry is decides."""
    for streams in ("aaaa", "random"):
        for seed in (0, 1):
            fill(tmp_path / f"{streams}_{seed}", "pixelwise", 4, n=10, train_seed=seed, streams=streams, num_demos=25)
    folders = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    tables = []
    for order in (folders, folders[::-1], folders[1::2] + folders[::2]):
        study.publish(study.collect(order, "pixelwise"), "pixelwise", str(tmp_path / "out"), "study")
        tables.append([(tmp_path / "out" / f"{name}.csv").read_text() for name in ("study", "trainings")])
    assert tables[0] == tables[1] == tables[2]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
