"""A plan of trainings and evaluations: the right commands, once each, a table of what is there, and failures that do not stop the others."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from eval import study
from eval.study import Failed, Settings
from tests.eval.test_report import fill
from whatwhere.command import parse
from whatwhere.errors import BadInput


def settings(*words: str) -> Settings:
    return parse("eval.conf", "study", Settings, list(words))


@pytest.mark.parametrize("name", ["tasks", "strategies", "few_demos", "perturbations"])
def test_every_study_is_whole(name: str) -> None:
    plan = settings(f"study={name}")
    names = [cell.name for cell in plan.cells()]
    assert len(set(names)) == len(names) >= 6


def test_the_commands_of_a_cell() -> None:
    plan = settings("study=perturbations", "study.tasks=[stack_centered]", "study.num_demos=[5]", "out=here", "episodes=7", "jobs=2")
    cell = next(cell for cell in plan.cells() if cell.method == "pixelwise_random")
    train, *evaluations = [shlex.join(words[1:]) for words in plan.commands(cell)]
    assert train == (
        "-m policy.finetune task=stack_centered encoder=pixelwise streams=random demos=data/stack_centered num_demos=5 seed=0 "
        "out=here/policies/stack_centered_pixelwise_random_n5_s0 num_threads=1"
    )
    assert [words.rpartition("out=here/rows/stack_centered_pixelwise_random_n5_s0_")[2] for words in evaluations] == ["light", "camera", "distractors"]
    assert "episodes=7 seed=200000 video=0 perturbation=light" in evaluations[0]


def test_parts_are_read_as_the_options_they_are() -> None:
    words = ("study.tasks=pick_at_xy", "study.num_demos=5", "study.perturbations=[null,light]", "study.methods.mine={encoder: avg_late}", "out=ma thèse (2)")
    plan = settings(*words, "study.methods.mine.streams=réseaux (a=b), [x]", "study.methods.mine.steps=7", "study.baseline=avg_late")
    cells = {cell.method: cell for cell in plan.cells()}
    assert {(cell.task, cell.num_demos) for cell in cells.values()} == {("pick_at_xy", 5)}
    train, *evaluations = plan.commands(cells["mine"])
    assert "streams=réseaux (a=b), [x]" in train and "steps=7" in train and "out=ma thèse (2)/policies/pick_at_xy_mine_n5_s0" in train
    assert len(evaluations) == 2 and "perturbation=light" in evaluations[1]
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
        (["study=null"], "study=null: unknown; valid: few_demos"),
        (["study={}"], "study={}: unknown"),
        (["study.methods=5"], "study.methods=5: needs a mapping"),
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

    def run(words: list[str]) -> str:
        modules.append(words[2])
        options = dict(word.split("=", 1) for word in words[3:])
        if words[2] == "eval.run":
            if "cnn_keypoints" in options["checkpoint"] and (tmp_path / "broken").exists():
                raise Failed("eval.run: no space left")
            encoder = "avg_late" if "avg_late" in options["out"] else "pixelwise"
            fill(
                Path(options["out"]), encoder, 17 if encoder == "pixelwise" else 4, task=options["task"], n=int(options["episodes"]), seed=int(options["seed"])
            )
        return "success 0.85 …"

    monkeypatch.setattr(study, "_run", run)
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


def test_a_real_command_that_fails_says_why() -> None:
    with pytest.raises(Failed, match="did you mean pick_at_xy"):
        study._run(study._python("eval.run", task="pick_at_xz"))
