"""Every option of every command says what it may be, values beyond that are refused, and `--help` shows it."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_origin

import pytest

import eval.options
from whatwhere.errors import BadInput
from whatwhere.hints import alternatives, bare, describe, element_of, fields_of, hint_at, hints_of, inside_of, kinds_of
from whatwhere.kinds import Checked, Length, Like, OneOf, Place, Range, Text
from whatwhere.overrides import override
from whatwhere.reading import check, read
from whatwhere.settings import folder_of, groups_of
from whatwhere.usage import usage

ROOT = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Command:
    module: str
    folder: str
    name: str
    bare: tuple[str, ...]

    @property
    def settings(self) -> type[Any]:
        return importlib.import_module(self.module).Settings

    def options(self) -> Iterator[tuple[str, Any]]:
        """Each option with its type, and each part of one whose type names its parts."""
        for name, hint in hints_of(self.settings).items():
            yield name, hint
            yield from ((f"{name}.{part}", kind) for part, kind in fields_of(hint).items() if part != "name" and not dataclasses.is_dataclass(inside_of(kind)))


def commands() -> Iterator[Command]:
    for path in sorted(path for room in ("policy", "envs", "eval", "whatwhere") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "command" and isinstance(node.args[0], ast.Constant):
                folder, name = (ast.literal_eval(argument) for argument in node.args[:2])
                words = next((ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg == "bare"), ())
                yield Command(".".join(path.relative_to(ROOT).with_suffix("").parts), folder, name, words)


COMMANDS = list(commands())
each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.module)


def leaves(hint: Any) -> Iterator[Any]:
    """The types of single values in a type, null left out."""
    for option in alternatives(hint):
        element = element_of(option)
        if element is not None:
            yield from leaves(element)
        elif option is not type(None) and inside_of(option) is None:
            yield option


def test_all_commands_are_found() -> None:
    assert {"eval.run", "eval.study", "policy.finetune", "policy.pretrain.__main__", "envs.demos.collect"} <= {command.module for command in COMMANDS}
    assert len(COMMANDS) >= 19


@each_command
def test_every_option_says_what_it_may_be(command: Command) -> None:
    for key, hint in command.options():
        for leaf in leaves(hint):
            kinds = [pkgutil.resolve_name(kind.name).__metadata__[0] if isinstance(kind, Like) else kind for kind in kinds_of(leaf)]
            if bare(leaf) in (int, float):
                assert [type(kind) for kind in kinds] == [Range], f"{command.module} {key}: needs a Range"
                assert kinds[0].least < kinds[0].most < 2**40, f"{command.module} {key}"
            elif bare(leaf) is str:
                assert len(kinds) == 1 and isinstance(kinds[0], OneOf | Place | Text | Checked), f"{command.module} {key}: any text at all"
            else:
                assert bare(leaf) is bool or get_origin(bare(leaf)) is Literal, f"{command.module} {key}"
        for option in alternatives(hint):
            if element_of(option) is not None:
                assert any(isinstance(kind, Length) for kind in kinds_of(option)) or isinstance(kinds_of(element_of(option))[0], OneOf), key


@each_command
def test_defaults_are_what_they_may_be(command: Command) -> None:
    from omegaconf import OmegaConf

    hints = hints_of(command.settings)
    values = OmegaConf.to_container(OmegaConf.load(folder_of(command.folder) / f"{command.name}.yaml"))
    assert isinstance(values, dict)
    for key, value in values.items():
        if key != "defaults" and value is not None and value != {}:
            check(str(key), value, hints[str(key)])


@each_command
def test_values_beyond_are_refused(command: Command) -> None:
    hints = hints_of(command.settings)
    groups = groups_of(command.folder, hints)
    for key, hint in command.options():
        for text in beyond(hint):
            with pytest.raises(BadInput, match=f"^{key}"):
                refused(f"{key}={text}", hints, groups)


def refused(argument: str, hints: dict[str, Any], groups: dict[str, list[str]]) -> None:
    key, _, text = argument.partition("=")
    override(argument, hints, groups)  # what the text is
    check(key, read(key, text, hint_at(key, hints)), hint_at(key, hints))  # whether it is in range


def beyond(hint: Any) -> Iterator[str]:
    """Texts that an option of this type refuses."""
    element = next((element_of(option) for option in alternatives(hint) if element_of(option) is not None), None)
    if element is not None:
        yield from (f"[{text}]" for text in beyond(element))
        return
    for kind in (kind for leaf in leaves(hint) for kind in kinds_of(leaf)):
        kind = pkgutil.resolve_name(kind.name).__metadata__[0] if isinstance(kind, Like) else kind
        if isinstance(kind, Range):
            number = next(bare(leaf) for leaf in leaves(hint) if bare(leaf) in (int, float))
            yield from (str(number(kind.least) - 1), str(number(kind.most) + 1), "1e999", "nan", "-inf", str(10**30), "x", "9" * 5000)
            yield from [str(number(kind.least))] * kind.above
            yield from [str(number(kind.most))] * kind.below
        elif isinstance(kind, OneOf):
            yield from ("nothing of the kind", "x" * 3000)
        elif isinstance(kind, Text):
            yield "x" * (kind.most + 1)
        elif isinstance(kind, Checked):
            yield from ("nothing:of the kind", "x" * 3000)
        elif isinstance(kind, Place):
            yield from ("/proc/self/x", "/sys/x", "/dev/zero", "x" * 256, "x/" * 3000)
            yield from ["/dev/null/x", f"{__file__}/x"] * bool(kind.writes)
    if any(bare(leaf) is bool for leaf in leaves(hint)):
        yield from ("maybe", "1", "")


@each_command
def test_help_shows_every_option_and_what_it_may_be(command: Command) -> None:
    lines = usage(command.folder, command.name, command.settings, importlib.import_module(command.module).main, command.bare).splitlines()
    groups = groups_of(command.folder, hints_of(command.settings))
    for key, hint in command.options():
        shown = [line for line in lines if line.strip().startswith((f"{key}:", f"{key}=…"))]
        assert len(shown) == 1 or (shown and key.partition(".")[0] in groups), f"{key}: once, or once with each choice that has it"
        for line in shown:
            assert line.endswith("]") and len(line.rpartition(" [")[2]) > 1, line
            assert key in groups or line.endswith(f"[{describe(hint)}]"), line
    assert not (command.bare and f" {command.bare[0].upper()} " not in lines[0])


def test_what_is_like_another_says_the_same() -> None:
    for name, hint in vars(eval.options).items():
        for kind in kinds_of(hint):
            other = pkgutil.resolve_name(kind.name)
            assert kind.says == str(kinds_of(other)[0]) and bare(other) is bare(hint), name


@pytest.mark.parametrize("module", ["eval.run", "policy.finetune", "policy.pretrain", "envs.demos.collect"])
def test_help_imports_nothing_heavy(module: str, tmp_path: Path) -> None:
    code = f"""
import runpy, sys
sys.argv = ["x", "--help"]
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
found = {{"torch", "hydra", "omegaconf", "mujoco", "robosuite", "h5py"}} & set(sys.modules)
print("heavy:", sorted(found))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1:] == ["heavy: []"] or module.startswith("envs.demos"), done.stdout[-300:] + done.stderr


def test_lists_are_written_one_way() -> None:
    """In brackets, or as one bare value: wherever an option is a list."""
    for command in COMMANDS:
        for key, hint in command.options():
            for element in (element_of(option) for option in alternatives(hint)):
                if element is None:
                    continue
                one = {int: "3", float: "0.5"}.get(next(bare(leaf) for leaf in leaves(element)), "a (b)=é")
                assert len(read(key, one, hint)) == 1, f"{command.module} {key}"
                assert read(key, f"[{one}, {one}]", hint) == 2 * read(key, one, hint), f"{command.module} {key}"
