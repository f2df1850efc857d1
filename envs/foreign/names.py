"""What the name of a task or an expert from elsewhere means, checked without a simulator and without running anybody's module where that can be helped.

robosuite/NAME     one of robosuite's own tasks
gymnasium/ID       an environment that gymnasium knows; module:ID imports `module` first, which registers it
module:Class       a class, derived from a robosuite or a gymnasium environment, in a module that Python finds
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gymnasium

from envs.foreign.stock import STOCK
from whatwhere.errors import BadInput, choose, did_you_mean
from whatwhere.look import read

ROBOSUITE, GYMNASIUM = "robosuite/", "gymnasium/"
WAYS = "robosuite/NAME, gymnasium/ID, module:Class"


def check_foreign(task: str, ours: Iterable[str], field: str = "task") -> str:
    """`task` itself if it names a task from elsewhere. Raises BadInput."""
    stock = [ROBOSUITE + name for name in STOCK]
    if task.startswith(ROBOSUITE):
        return choose(field, task, stock)
    if task.startswith(GYMNASIUM):
        return _check_id(task, field)
    if ":" in task:
        return check_place(task, field)
    raise BadInput(f"{field}={task}: unknown; valid: {', '.join(ours)}, or {WAYS}{did_you_mean(str(task), [*ours, *stock])}")


def is_gymnasium(task: str) -> bool:
    """Whether a checked name is that of a gymnasium environment. (A class of a module of one's own has to be looked at, so that module is imported.)"""
    if task.startswith(GYMNASIUM):
        return True
    return _is_place(task) and _is_gymnasium_class(imported(task))


def _is_gymnasium_class(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, gymnasium.Env)


def _is_place(task: str) -> bool:
    return ":" in task and not task.startswith((ROBOSUITE, GYMNASIUM))


def needs_import(task: str) -> bool:
    """Whether making `task` imports a module that the name itself gives: a data file's word is not enough for that."""
    return ":" in task


def _check_id(task: str, field: str) -> str:
    module, colon, name = task.removeprefix(GYMNASIUM).rpartition(":")
    if colon:
        _find(module, task, field)
    elif name not in gymnasium.registry:
        known = [GYMNASIUM + known for known in gymnasium.registry]
        raise BadInput(f"{field}={task}: gymnasium knows no such id; give gymnasium/module:ID if a module registers it{did_you_mean(task, known)}")
    return task


def check_place(place: str, field: str) -> str:
    """`place` itself if it is module:Class of a module that can be found and that names such a class. Raises BadInput."""
    module, _, name = place.partition(":")
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", place):
        raise BadInput(f"{field}={place}: needs module:Class")
    names = _names(_find(module, place, field), place, field)
    if names is not None and name not in names and not hasattr(sys.modules.get(module), name):
        raise BadInput(f"{field}={place}: {module} has no {name}; it has {', '.join(names) or 'no class'}{did_you_mean(name, names)}")
    return place


def imported(place: str) -> Any:
    """What module:Class names. Raises BadInput if it is not there after all."""
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        raise BadInput(f"{place}: {module} has no {name}") from None


def _find(module: str, what: str, field: str) -> Path | None:
    """Where the source of a module is (None: it has none). Raises BadInput if Python finds no such module."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None and module not in sys.modules:
        raise BadInput(f"{field}={what}: Python finds no module {module}; run the command from its folder, or put that on PYTHONPATH")
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _names(source: Path | None, what: str, field: str) -> list[str] | None:
    """The public names that a module's source defines or imports at its top; None if it does not say all of them."""
    if source is None:
        return None
    try:
        tree = ast.parse(read(source, "text file"), str(source))
    except (BadInput, SyntaxError, ValueError, RecursionError) as error:
        raise BadInput(f"{field}={what}: {source} is not readable as Python ({error})") from None
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif not isinstance(node, ast.Expr):
            return None  # an if, a try, a loop: there may be more
    return None if "*" in names else names
