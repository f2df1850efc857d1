"""What a study is: its policies (cells), and the plan that they are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from eval.options import Perturbation, Split, Task, Version
from policy.options import Said, Without
from whatwhere.errors import BadInput, did_you_mean, shown
from whatwhere.files import path_name
from whatwhere.kinds import Length, Range, Seed, Text
from whatwhere.options import options

GOAL = "goal"  # of a method, one or several: what `eval.run` is told with an inverse model (docs/planner.md)
CORRECTIONS = "corrections"  # of a method: true or false; all else of it is asked of training
COLLECTED = ("motion", "speed")  # what of a condition is asked of demonstrations; all else of it is asked of training
OWN = ("task", "demos", "num_demos", "seed", "out")  # options of policy.finetune that a study itself gives
LONGEST_METHOD = 100  # bytes
SOURCE, PLAY = "source", "play"  # of an inverse model that learns from play instead of demonstrations; all else of it is asked of training
OF_INVERSE = ("demos", "out")  # the same for an inverse model, which has a task and num_demos of its own


@dataclass(frozen=True)
class Cell:
    """One policy of a plan: where it is trained, and the commands that make and evaluate it."""

    task: str
    method: str
    options: dict[str, Any]  # of policy.finetune
    num_demos: int
    train_seed: int
    condition: str = ""  # one of Plan.conditions
    goals: tuple[str | None, ...] = (None,)  # what is to be brought about, at evaluation
    corrected: bool = False  # trained a second time, with as many corrections of the first policy as there are demonstrations

    @property
    def name(self) -> str:
        return f"{path_name(self.task)}_{self.method}_n{self.num_demos}_s{self.train_seed}" + (f"_{path_name(self.condition)}" if self.condition else "")


@options
class Plan:
    """What is trained and evaluated: a file of `eval/conf/study/`."""

    tasks: Annotated[tuple[Task, ...], Length(1, 100)]
    methods: Annotated[dict[str, dict[str, Any] | None], Length(1, 100)]  # name: options of policy.finetune
    num_demos: Annotated[tuple[Annotated[int, Range(1, 100_000)], ...], Length(1, 100)]
    train_seeds: Annotated[tuple[Seed, ...], Length(1, 1000)]
    perturbations: Annotated[tuple[Perturbation | None, ...], Length(1, 10)]
    without: Annotated[tuple[Without | None, ...], Length(1, 3)] = (None,)  # streams that are taken away at evaluation, one at a time
    said: Annotated[tuple[Said | None, ...], Length(1, 3)] = (None,)  # what is told instead of the instruction, at evaluation
    version: Version = 0  # of the tasks
    splits: Annotated[tuple[Split | None, ...], Length(1, 3)] = (None,)  # of version 1, at evaluation; trained is on train
    baseline: Annotated[str, Text("an encoder", 200)] | None = None
    inverses: Annotated[dict[str, dict[str, Any]], Length(0, 100)] | None = None  # name: {task, num_demos, …} of models that methods name as their `inverse`
    conditions: Annotated[dict[str, dict[str, Any] | None], Length(0, 100)] | None = (
        None  # name: what moves (COLLECTED), and what is late (options of policy.finetune)
    )


def tasks_of(given: Mapping[str, Any]) -> list[str]:
    """Of an inverse model: one or several."""
    tasks = [given["task"]] if isinstance(given["task"], str) else given["task"]
    if not isinstance(tasks, list | tuple) or not all(isinstance(task, str) for task in tasks):
        raise BadInput(f"study.inverses: task={shown(given['task'])}: needs a task, or several, as in [pick_at_xy,stack_centered]")
    return list(tasks)


def source_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What an inverse model's recordings are asked for beside the task: nothing, of demonstrations. Raises BadInput."""
    if given.get(SOURCE, PLAY) != PLAY:
        raise BadInput(f"study.inverses: {SOURCE}={shown(given[SOURCE])}: needs {PLAY}, or nothing, for demonstrations")
    return {SOURCE: PLAY} if SOURCE in given else {}


def check_names(plan: Plan, trained: Iterable[str]) -> None:
    """Raises BadInput for an option that there is not (`trained`: those of policy.finetune) or that the study itself gives, for what would put two
    policies into one folder, and for a folder outside of the study's."""
    for key in ("tasks", "num_demos", "train_seeds", "perturbations", "without", "said", "splits"):
        _check_once(f"study.{key}", getattr(plan, key))
    _check_once("study.conditions", map(path_name, plan.conditions or {}))
    _check_once("study.inverses", map(path_name, plan.inverses or {}))
    for method in plan.methods:
        if "/" in method or len(method.encode()) > LONGEST_METHOD:
            raise BadInput(f"study.methods.{method}: names a folder; needs a name without / and of at most {LONGEST_METHOD} bytes")
    kinds: dict[str, tuple[Any, tuple[str, ...], tuple[str, ...]]] = {
        "methods": (plan.methods, OWN, (GOAL, CORRECTIONS)),
        "conditions": (plan.conditions, OWN, COLLECTED),
        "inverses": (plan.inverses, OF_INVERSE, (SOURCE,)),
    }
    for kind, (named, own, more) in kinds.items():
        valid = [*more, *(option for option in trained if option not in own)]
        for name, given in (named or {}).items():
            _check_options(f"study.{kind}.{name}", given or {}, own, valid)


def _check_once(key: str, values: Iterable[object]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise BadInput(f"{key}: {shown(twice[0])} stands there twice; each policy of a study needs a folder of its own")


def _check_options(where: str, given: Mapping[str, Any], own: Iterable[str], valid: Sequence[str]) -> None:
    for option in given:
        if option in own:
            raise BadInput(f"{where}.{option}={shown(given[option])}: the study itself gives {option}; leave it out")
        if option not in valid:
            raise BadInput(f"{where}.{option}: no such option; valid: {', '.join(valid)}{did_you_mean(option, valid)}")
