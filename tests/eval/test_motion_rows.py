"""What moved by itself is known to a policy, to its evaluation, to rows and to tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs.demos.episodes import write_episode
from envs.motion import Motion
from eval.playing.identity import identity
from eval.playing.prepare import prepare
from eval.playing.settings import Settings
from eval.reports.entries import moves
from eval.results import load, summary
from eval.study import Settings as Study
from policy.finetune import main as finetune
from policy.training.dataset import load_demos
from tests.policy.test_finetune import episode
from tests.policy.test_finetune import settings as finetuning
from whatwhere.errors import BadInput
from whatwhere.files import append_row, read_json
from whatwhere.settings import parse

MOVED = {"motion": "which", "speed": [6.0, 12.0]}


def evaluation(*words: str) -> Settings:
    return parse("eval.conf", "run", Settings, ["task=pick_at_xy", *words])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moved")
    for number in range(3):
        write_episode(folder / "demos" / f"episode_{number}.hdf5", episode(6, number, **MOVED))
    finetune(finetuning(folder / "demos", folder / "policy", steps=2))
    return folder / "policy"


def test_a_policy_remembers_what_moved(checkpoint: Path) -> None:
    assert {name: read_json(checkpoint / "config.json", dict)["training"][name] for name in MOVED} == MOVED
    player = prepare(evaluation(f"checkpoint={checkpoint}", "seed=100000"))
    assert (player.motion, player.speed, player.trained_motion) == ("which", (6.0, 12.0), None)
    assert "trained_motion" not in player.row({"task": "pick_at_xy"}) and player.row({})["speed"] == (6.0, 12.0)


@pytest.mark.parametrize(
    ("words", "motion", "speed"),
    [("motion=still", None, None), ("motion=moving", "moving", (4.0, 8.0)), ("speed=[4,5]", "which", (4.0, 5.0)), ("motion=nudged", "nudged", None)],
)
def test_an_evaluation_under_something_else_says_so(checkpoint: Path, capsys: pytest.CaptureFixture[str], words: str, motion: str, speed: object) -> None:
    player = prepare(evaluation(f"checkpoint={checkpoint}", "seed=100000", words))
    assert (player.motion, player.speed, player.trained_motion) == (motion, speed, "which 6-12 cm/s")
    assert player.row({})["trained_motion"] == "which 6-12 cm/s" and ("motion" in player.row({})) is (motion is not None)
    assert "was trained with which 6-12 cm/s; here it meets" in capsys.readouterr().out
    assert prepare(evaluation(f"checkpoint={checkpoint}", "seed=100000")).out != player.out


def test_an_evaluation_is_known_by_what_moves() -> None:
    still, moving, slow = (evaluation("policy=zero", *words) for words in ([], ["motion=moving"], ["motion=moving", "speed=[2,4]"]))
    players = [prepare(one) for one in (still, moving, slow)]
    assert len({player.out for player in players}) == 3
    assert not {"motion", "speed", "trained_motion"} & (set(identity(still, players[0])) | set(players[0].row({})))
    assert identity(moving, players[1])["motion"] == "moving" and identity(slow, players[2])["speed"] == (2.0, 4.0)


def test_rows_and_tables_tell_it(tmp_path: Path) -> None:
    row = {"task": "pick_at_xy", "version": "0", "seed": 1, "episode": 0, "init_hash": "0", "success": True, "position_error_cm": 1.0}
    append_row(tmp_path / "episodes.jsonl", row | {"motion": "which", "speed": [6, 12], "trained_motion": "still"})
    _, results = load(tmp_path)
    assert moves(results) == "which 6–12 cm/s, trained still"
    assert moves({"motion": "nudged"}) == "nudged" and moves({}) == "" and moves({"trained_motion": "nudged"}) == "still, trained nudged"
    assert not {"motion", "speed", "trained_motion"} & set(summary([row], {})), "results of what stands still are as they were"


def test_demonstrations_of_different_motions_are_not_mixed(tmp_path: Path) -> None:
    for number, moved in enumerate((MOVED, MOVED | {"speed": [4.0, 8.0]})):
        write_episode(tmp_path / f"episode_{number}.hdf5", episode(6, number, **moved))
    with pytest.raises(BadInput, match=r"speed=\[4.0, 8.0\], but the episodes before it have speed=\[6.0, 12.0\]"):
        load_demos(tmp_path, 2, chunk=4)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["motion=fog"], "motion=fog: unknown; valid: still, moving"),
        (["motion=moving", "speed=[9]"], r"speed=\[9"),
        (["motion=moving", "speed=fast"], "speed"),
        (["motion=moving", "speed=[4,90]"], "speed"),
    ],
)
def test_bad_motions_are_refused(words: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        prepare(evaluation("policy=zero", *words))


def study(*words: str) -> Study:
    return parse("eval.conf", "study", Study, ["study.tasks=[pick_at_xy]", "study.num_demos=[5]", "out=here", *words])


def test_a_study_trains_and_evaluates_under_each_motion() -> None:
    plan = study("study.conditions={still: {}, fast: {motion: moving, speed: [6,12]}}", "study.methods={avg_late: {}}")
    cells = list(plan.cells())
    assert [cell.name for cell in cells] == ["pick_at_xy_avg_late_n5_s0_still", "pick_at_xy_avg_late_n5_s0_fast"]
    collected = [" ".join(plan.collect("pick_at_xy", motion)[3:]) for motion in ("still", "fast")]
    assert collected[0] == "task=pick_at_xy n=5 seed=0 out=data/pick_at_xy"
    assert collected[1] == "task=pick_at_xy motion=moving speed=[6,12] n=5 seed=0 out=data/pick_at_xy_moving_6-12"
    assert ["demos=data/pick_at_xy" in plan.train(cell) for cell in cells] == [True, False] and "demos=data/pick_at_xy_moving_6-12" in plan.train(cells[1])
    assert [cell.name for cell in study("study.methods={avg_late: {}}").cells()] == ["pick_at_xy_avg_late_n5_s0"], "and as before without"


def test_what_is_late_is_asked_of_training_alone() -> None:
    plan = study("study.conditions={now: {motion: which}, late: {motion: which, latency: 4, history: [moved,actions]}}", "study.methods={avg_late: {}}")
    now, late = map(plan.train, plan.cells())
    assert plan.collections() == [plan.collect("pick_at_xy", "late")] and "data/pick_at_xy_which" in plan.collect("pick_at_xy", "now")[-1]
    assert [word for word in late if word not in now] == ["latency=4", "history=[moved,actions]", "out=here/policies/pick_at_xy_avg_late_n5_s0_late"]


def test_a_corrected_policy_is_trained_twice() -> None:
    plan = study("study.methods={avg_late: {corrections: true, steps: 7}}")
    (cell,) = plan.cells()
    first, correct, second, play = plan.commands(cell)
    name = "pick_at_xy_avg_late_n5_s0"
    assert {"demos=data/pick_at_xy", "steps=7", f"out=here/policies/{name}_first"} <= set(first)
    assert {f"checkpoint=here/policies/{name}_first", "n=5", f"out=here/corrections/{name}"} <= set(correct)
    assert {f"demos=[data/pick_at_xy,here/corrections/{name}]", "num_demos=5", "steps=7", f"out=here/policies/{name}"} <= set(second)
    assert f"checkpoint=here/policies/{name}" in play
    with pytest.raises(BadInput, match=r"study.methods.avg_late.corrections=3: must be true or false"):
        list(study("study.methods={avg_late: {corrections: 3}}").cells())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("study.conditions={a: {motion: fog}}", "motion=fog"),
        ("study.conditions={a: {speed: 4}}", "speed"),
        ("study.conditions={a: {latency: -1}}", "latency"),
        ("study.conditions={a: {fog: 1}}", "fog"),
        ("study.conditions={a: {motion: nudged, speed: [4,8]}}", "leave it out"),
    ],
)
def test_bad_motions_of_a_study_are_refused(words: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        study(words)


def test_a_record_says_no_more_than_there_is() -> None:
    assert Motion("nudged", None).record() == {"motion": "nudged"} and Motion("which", (4.0, 8.0)).record() == {"motion": "which", "speed": [4.0, 8.0]}
