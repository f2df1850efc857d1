"""`python -m eval.study study=few_demos`: runs a plan of many trainings and evaluations, and makes one table of their results.

A cell of the plan is one policy: `policy.finetune` (with `corrections: true` also `eval.correct`, and `policy.finetune` again), then `eval.run` for every
perturbation and removed stream. Each runs as a separate process, `jobs` cells at a time: on this machine, or with `launcher=` on a cluster
(docs/cluster.md). Finished work is not repeated, so the same command resumes after a kill. `plan=true` prints the commands instead, one line for
each cell.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from eval.launching import LAUNCHERS, NEEDS
from eval.launching.job import FOLDER, Job
from eval.launching.many import carry_out_all
from eval.launching.plan import COLLECTED, CORRECTIONS, GOAL, SOURCE, Cell, Plan, check_names, source_of, tasks_of
from eval.launching.process import Died, begin, run
from eval.report import publish
from eval.reports.entries import NAMED, collect, learned
from policy.fusion import told
from policy.heads import WITH_PLANNER
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput, Failed, about, did_you_mean, shown
from whatwhere.files import path_name
from whatwhere.hints import hints_of
from whatwhere.kinds import Length, OneOf, OutputFolder, Processes, Range, Seed, Text
from whatwhere.named import named
from whatwhere.options import options
from whatwhere.owned import owned
from whatwhere.pieces import spelled
from whatwhere.reading import check
from whatwhere.settings import parse


@options
class Settings:
    """What `eval/conf/study.yaml` describes; `study` is a file of `eval/conf/study/`, a part of it `study.KEY=…`. Raises BadInput before any job starts."""

    study: Plan
    out: OutputFolder
    demos: OutputFolder
    episodes: Annotated[int, Range(1, 1_000_000)]
    seed: Seed
    jobs: Annotated[int, Range(1, 10_000)]
    launcher: Annotated[str, OneOf(LAUNCHERS)]
    cpus: Annotated[int, Range(1, 1024)]
    gpus: Annotated[float, Range(0, 64)]
    address: Annotated[str, Text("host:port or auto", 300)] | None
    slurm: Annotated[dict[str, bool | int | float | str], Length(0, 100)]
    cache: OutputFolder | None
    retries: Annotated[int, Range(0, 100)]
    plan: bool
    video: Annotated[int, Range(0, 1_000_000)] | Annotated[str, OneOf("failures")] = 0

    def __post_init__(self) -> None:
        from envs.catalogue import check_version
        from envs.demos.collect_settings import Settings as Collect
        from eval.playing.settings import Settings as Evaluate
        from policy.training.settings import Settings as Finetune

        self._check_launcher()
        check_names(self.study, hints_of(Finetune))
        chosen = {method: given or {} for method, given in self.study.methods.items()}
        baseline = self.study.baseline
        names = [_called(method, given) for method, given in chosen.items()]
        if baseline is not None and baseline not in names:
            raise BadInput(f"study.baseline={baseline}: no method has it; there are {', '.join(names)}{did_you_mean(baseline, names)}")
        for task, split in product(self.study.tasks, self.study.splits):
            check_version(task, self.study.version, split)
        for condition, task in product(self.study.conditions or {}, self.study.tasks):
            with about(f"study.conditions.{condition}"):
                parse("envs.conf", "collect", Collect, self.collect(task, condition)[3:])
        for (name, given), words in zip((self.study.inverses or {}).items(), self.inverses(), strict=True):
            with about(f"study.inverses.{name}"):
                parse("policy.conf", "finetune", Finetune, words[3:])
                for task in tasks_of(given):
                    parse("envs.conf", "collect", Collect, self._record(task, given)[3:])
        of_each = {(cell.task, cell.method, cell.condition, cell.num_demos): cell for cell in self.cells()}  # seeds change nothing
        for cell in of_each.values():
            with about(f"study.methods.{cell.method}" + (f", study.conditions.{cell.condition}" if cell.condition else "")):
                parse("policy.conf", "finetune", Finetune, self.train(cell)[3:])
        plays = {(cell.task, *play.items()): (cell, play) for cell in of_each.values() for play in self.plays(cell) if play}
        for cell, play in plays.values():
            with about(f"study.methods.{cell.method}"):
                parse("eval.conf", "run", Evaluate, self.evaluate(cell, play)[3:])

    def _check_launcher(self) -> None:
        for key, launcher, unsaid in (("address", "ray", None), ("slurm", "slurm", {}), ("gpus", ("ray", "slurm"), 0)):
            if self.launcher not in launcher and getattr(self, key) != unsaid:
                value, where = getattr(self, key), launcher if isinstance(launcher, str) else " or ".join(launcher)
                raise BadInput(f"{key}={f'{value:g}' if key == 'gpus' else value}: is for launcher={where} alone; launcher={self.launcher} has no use for it")
        package = NEEDS.get(self.launcher)
        if package is None:
            check("jobs", self.jobs, Processes)
        elif not self.plan and importlib.util.find_spec(package) is None:
            raise BadInput(f"launcher={self.launcher}: needs {package}, not installed here; run: pip install 'whatwhere[{self.launcher}]'")

    def cells(self) -> Iterator[Cell]:
        """In the order in which they are begun: what takes longest first, and side by side what needs other tokens."""
        study = self.study
        numbers = sorted(study.num_demos, reverse=True)
        plan = product(numbers, study.train_seeds, study.methods.items(), self.conditions, study.tasks)
        for num_demos, train_seed, (method, given), condition, task in plan:
            late = {key: value for key, value in self.conditions[condition].items() if key not in COLLECTED}
            chosen = {"encoder": method, **(given or {}), **late}
            corrected = chosen.pop(CORRECTIONS, False)
            if not isinstance(corrected, bool):
                raise BadInput(f"study.methods.{method}.{CORRECTIONS}={shown(corrected)}: must be true or false")
            goal = chosen.pop(GOAL, None)
            if (name := chosen.get("inverse")) in (study.inverses or {}):
                chosen["inverse"] = self.inverse(name)
            yield Cell(task, method, chosen, num_demos, train_seed, condition, tuple(goal) if isinstance(goal, list | tuple) else (goal,), corrected)

    @property
    def conditions(self) -> dict[str, dict[str, Any]]:
        """{name: options}; one without a name where the study has none."""
        return {name: given or {} for name, given in (self.study.conditions or {"": {}}).items()}

    def _moving(self, condition: str) -> dict[str, Any]:
        return {key: value for key, value in self.conditions[condition].items() if key in COLLECTED}

    def folder(self, task: str, condition: str = "") -> str:
        """Of demonstrations: those in which the same moves serve every condition in which it does."""
        moving = [spelled(key, value).partition("=")[2].strip("[]").replace(",", "-") for key, value in self._moving(condition).items()]
        return str(Path(self.demos) / ("_".join(map(path_name, [task, *moving])) + self._which))

    @property
    def _which(self) -> str:
        """Of demonstrations and policies of another version than 0, for their names."""
        return f"-v{self.study.version}" if self.study.version else ""

    def collect(self, task: str, condition: str = "") -> list[str]:
        chosen = self._moving(condition) | ({"version": self.study.version} if self.study.version else {})
        return _python("envs.demos.collect", task=task, **chosen, n=max(self.study.num_demos), seed=0, out=self.folder(task, condition))

    def collections(self) -> list[list[str]]:
        """The commands that collect what is learnt from, each once."""
        commands = [self.collect(task, condition) for condition, task in product(self.conditions, self.study.tasks)]
        for given in (self.study.inverses or {}).values():
            commands += [self._record(task, given) for task in tasks_of(given)]
        return [command for number, command in enumerate(commands) if command not in commands[:number]]

    def _record(self, task: str, given: Mapping[str, Any]) -> list[str]:
        """The command that records what an inverse model learns from."""
        return _python("envs.demos.collect", task=task, **source_of(given), n=given["num_demos"], seed=0, out=self._recorded(task, given))

    def _recorded(self, task: str, given: Mapping[str, Any]) -> str:
        return "_".join([self.folder(task), *source_of(given).values()])

    def inverse(self, name: str) -> str:
        """The folder of a model that several policies are learnt over."""
        return f"{self.out}/inverses/{path_name(name)}"

    def inverses(self) -> list[list[str]]:
        """The commands that train them."""
        commands = []
        for name, given in (self.study.inverses or {}).items():
            if not {"task", "num_demos"} <= set(given):
                raise BadInput(f"study.inverses.{name}: needs task and num_demos, and options of policy.finetune beside them")
            tasks = tasks_of(given)
            trained = {key: value for key, value in given.items() if key != SOURCE}
            chosen = {"head": WITH_PLANNER[0], "change": "future"} | trained | {"task": tasks, "demos": [self._recorded(task, given) for task in tasks]}
            commands.append(_python("policy.finetune", **chosen, out=self.inverse(name)))
        return commands

    def train(self, cell: Cell, is_first: bool = False) -> list[str]:
        """`is_first`: the policy that is corrected."""
        threads = {"num_threads": self.cpus} if self.shares_cores else {}
        folder = self.folder(cell.task, cell.condition)
        demos = [folder, self.corrections(cell)] if cell.corrected and not is_first else folder
        given = {"demos": demos, "num_demos": cell.num_demos, "seed": cell.train_seed, "out": self.policy(cell, is_first)}
        given |= threads if self.cache is None else {"cache": self.cache} | threads
        given = {key: value for key, value in given.items() if key not in cell.options}  # a method's own cache and threads
        return _python("policy.finetune", task=cell.task, **cell.options, **given)

    @property
    def shares_cores(self) -> bool:
        """Whether a cell has `cpus` cores; else as many as it finds."""
        return self.jobs > 1 or self.launcher in NEEDS

    def corrections(self, cell: Cell) -> str:
        """The folder of a cell's own."""
        return f"{self.out}/corrections/{cell.name}{self._which}"

    def correct(self, cell: Cell) -> list[str]:
        return _python("eval.correct", checkpoint=self.policy(cell, is_first=True), n=cell.num_demos, seed=1, out=self.corrections(cell))

    def policy(self, cell: Cell, is_first: bool = False) -> str:
        return f"{self.out}/policies/{cell.name}{self._which}{'_first' if is_first else ''}"

    def plays(self, cell: Cell) -> list[dict[str, str]]:
        """What is said to `eval.run` beside the policy, for each evaluation. A stream that a policy never sees is not taken away from it."""
        whole = cell.options.get("streams_used") in (None, "both")
        choices = product(self.study.perturbations, self.study.without if whole else (None,), self.study.said, self.study.splits, cell.goals)
        found = [{"perturbation": one, "without": other, "said": said, "split": split, "goal": goal} for one, other, said, split, goal in choices]
        return [{key: value for key, value in play.items() if value is not None} for play in found]

    def rows(self, cell: Cell, play: Mapping[str, str]) -> Path:
        words = [cell.name + self._which, *(f"{key}-{value}" if key in ("without", "said", "goal") else value for key, value in play.items())]
        return Path(self.out) / "rows" / "_".join(words)

    def evaluate(self, cell: Cell, play: Mapping[str, str]) -> list[str]:
        given: dict[str, Any] = {"checkpoint": self.policy(cell), "episodes": self.episodes, "seed": self.seed, "video": self.video}
        given |= {"num_envs": self.cpus} if self.shares_cores else {}
        return _python("eval.run", task=cell.task, **given, **play, out=str(self.rows(cell, play)))

    def commands(self, cell: Cell) -> list[list[str]]:
        first = [self.train(cell, is_first=True), self.correct(cell)] if cell.corrected else []
        return [*first, self.train(cell), *(self.evaluate(cell, play) for play in self.plays(cell))]

    def job(self, cell: Cell) -> Job:
        rows = tuple(str(self.rows(cell, play)) for play in self.plays(cell))
        commands = tuple(tuple(words[2:]) for words in self.commands(cell))
        return Job(cell.name + self._which, str(Path.cwd()), commands, rows, self.episodes, self.seed, Path(self.out, FOLDER).absolute())


def main(settings: Settings) -> None:
    cells = list(settings.cells())
    if settings.plan:
        for command in (*settings.collections(), *settings.inverses()):
            print(_shell([command]))
        for cell in cells:
            print(_shell(settings.commands(cell)))
        return
    launcher = named("launcher", settings.launcher, LAUNCHERS)(settings)
    check_writable("out", settings.out)
    begin()
    jobs = {cell.name: settings.job(cell) for cell in cells}
    for job in jobs.values():
        job.check_same()
    with owned(Path(settings.out)), launcher:
        for command in (*settings.collections(), *settings.inverses()):
            _first(command, Path(settings.out, FOLDER, "first.log"), settings.retries)
        todo = [job for job in jobs.values() if not job.is_done()]
        for job in todo:
            job.write()
        there = f"{len(jobs) - len(todo)} of {len(jobs)} policies are there already"
        print(there if len(todo) < len(jobs) else f"{counted(len(jobs), 'policy', 'policies')} to train and evaluate", flush=True)
        failed = carry_out_all(launcher, todo, len(jobs), settings.jobs, settings.retries)
    folders = [settings.rows(cell, play) for cell in cells if jobs[cell.name].is_done() for play in settings.plays(cell)]
    if folders:
        baseline = settings.study.baseline
        publish(collect(folders, baseline), baseline, settings.out, "study")
    if failed:
        print("\n".join(failed), file=sys.stderr)
        raise SystemExit(1)


def _called(method: str, given: Mapping[str, Any]) -> str:
    """What tables will call a method's policies."""
    fusion = told(*map(given.get, ("fusion", "cls_fusion", "sharing")))
    return learned(given.get("encoder", method), *map((dict(given) | {"fusion": fusion}).get, NAMED))


def _first(words: list[str], log: Path, retries: int) -> None:
    """A command before all cells, here; begun again, at most `retries` times, where its process died. Raises Failed."""
    for number in range(retries + 1):
        try:
            run(words[2:], log)
            return
        except Died as error:
            if number == retries:
                raise Failed(f"{error}; give the same command again · log: {log}") from None


def _python(module: str, **options: Any) -> list[str]:
    return [sys.executable, "-m", module, *(spelled(key, value) for key, value in options.items())]


def _shell(commands: list[list[str]]) -> str:
    return " && ".join(shlex.join(["python", *words[1:]]) for words in commands)


if __name__ == "__main__":
    command("eval.conf", "study", Settings, main)
