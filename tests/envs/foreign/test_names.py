"""Names of tasks and experts from elsewhere: what is valid, what is refused, and that no simulator is loaded to tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import envs
from envs.experts import check_expert, expert_class
from envs.foreign.names import needs_import
from whatwhere.errors import BadInput

ROOT = Path(__file__).parents[3]
OWN = "tests.envs.foreign.own_gymnasium"


@pytest.mark.parametrize(
    "task",
    [
        "pick_at_xy",
        "robosuite/Lift",
        "gymnasium/CartPole-v1",
        "gymnasium/tests.envs.foreign.own_gymnasium:Own/Reach-v0",
        "tests.envs.foreign.own_gymnasium:Reach",
    ],
)
def test_these_are_tasks(task: str) -> None:
    assert envs.check_task(task) == task


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("pick_at_yx", "valid: pick_at_xy, place_left_of, .*did you mean pick_at_xy"),
        ("Lift", "did you mean robosuite/Lift"),
        ("robosuite/Lifft", "did you mean robosuite/Lift"),
        ("robosuite", "valid: "),
        ("gymnasium/CartPol-v1", "did you mean gymnasium/CartPole-v1"),
        ("gymnasium/nowhere:X-v0", "no module nowhere"),
        ("nowhere:X", "no module nowhere"),
        ("nowhere.at.all:X", "no module nowhere.at.all"),
        ("tests.envs.foreign.own_robosuite:HoverCub", "did you mean HoverCube"),
        ("tests.envs.foreign.own_robosuite:", "needs module:Class"),
        (":X", "needs module:Class"),
        ("os.path:join(1)", "needs module:Class"),
    ],
)
def test_these_are_not(task: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as raised:
        envs.check_task(task)
    assert "\n" not in str(raised.value)


def test_a_broken_module_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_task.py").write_text("class Task(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadInput, match="not readable as Python"):
        envs.check_task("broken_task:Task")


def test_experts() -> None:
    from tests.envs.foreign.own_gymnasium import ReachExpert

    check_expert("pick_at_xy", None)
    assert expert_class("tests.envs.foreign.own_gymnasium:Reach", "tests.envs.foreign.own_gymnasium:ReachExpert") is ReachExpert
    with pytest.raises(BadInput, match="none here for task=robosuite/Stack; give expert=module:Class"):
        check_expert("robosuite/Stack", None)
    with pytest.raises(BadInput, match="did you mean ReachExpert"):
        check_expert("tests.envs.foreign.own_gymnasium:Reach", "tests.envs.foreign.own_gymnasium:ReachExprt")


def test_a_data_file_may_not_name_a_module() -> None:
    assert [needs_import(task) for task in ("pick_at_xy", "robosuite/Lift", "gymnasium/CartPole-v1")] == [False] * 3
    assert needs_import("tests.envs.foreign.own_robosuite:HoverCube")
    assert needs_import("gymnasium/tests.envs.foreign.own_gymnasium:Own/Reach-v0")


def test_no_simulator_and_no_module_of_the_user_is_loaded_to_tell() -> None:
    names = ("tests.envs.foreign.own_robosuite:HoverCube", "robosuite/Lift")
    program = (
        f"import sys, envs; from envs.experts import check_expert\n[envs.check_task(name) for name in {names}]; check_expert('x', '{OWN}:ReachExpert')\n"
        "print([name for name in sys.modules if name in ('mujoco', 'robosuite', 'torch') or 'own_' in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
