"""Who may know whom: eval → policy, envs; policy → envs.demos.episodes and nothing else of envs; envs knows neither; all three → whatwhere.

Among the files of a package it goes one way, too: none imports another that imports it, straight or over others, and not for a type either.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Container, Iterator
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("policy", "envs", "eval", "whatwhere")
ALLOWED = {
    "whatwhere": (),
    "envs": ("whatwhere",),
    "policy": ("whatwhere", "envs.demos.episodes"),
    "eval": ("whatwhere", "policy", "envs"),
}
SIMULATORS = {"mujoco", "robosuite", "glfw", "OpenGL", "gymnasium.envs.mujoco"}
CHOICES = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "MUJOCO_EGL_DEVICE_ID", "EGL_PLATFORM", "LIBGL_ALWAYS_SOFTWARE", "CUDA_VISIBLE_DEVICES")  # not an import's to make
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import statement in a file, at any depth of it."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")) and node.args:
            if isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def files_imported(path: Path, files: Container[str]) -> Iterator[str]:
    """The files that a file imports, as modules. A name out of a package is asked of the package, also where it is a file of its own."""
    for _, name in imported(path):
        package, _, _ = name.rpartition(".")
        yield from (module for module in (name, package) if module in files)


def test_the_rooms_are_there() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_know_only_whom_they_may(room: str) -> None:
    wrong = []
    for path in (path for path in SOURCES if path.relative_to(ROOT).parts[0] == room):
        for line, module in imported(path):
            foreign = module.split(".")[0] in ROOMS and module.split(".")[0] != room
            if foreign and not any(module == allowed or module.startswith(f"{allowed}.") for allowed in ALLOWED[room]):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_policy_has_no_simulator() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in (*(ROOT / "policy").rglob("*.py"), *(ROOT / "envs" / name for name in ("__init__.py", "demos/__init__.py", "demos/episodes.py")))
        for line, module in imported(path)
        if module.split(".")[0] in SIMULATORS
    ]
    assert not wrong, "\n".join(wrong)


def test_no_two_files_import_each_other() -> None:
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}
    graph = networkx.DiGraph((name, other) for name, path in files.items() for other in files_imported(path, files))
    circles = [sorted(circle) for circle in networkx.strongly_connected_components(graph) if len(circle) > 1]
    assert not circles, "import one another: " + "; ".join(map(", ".join, sorted(circles)))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unsafe(path: Path) -> None:
    """No pickles, no torch.load, no eval or exec, no bare except, no change of sys.path."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            call = ast.unparse(node)
            assert ast.unparse(node.func) not in ("torch.load", "eval", "exec") and "allow_pickle=True" not in call, f"line {node.lineno}: {call}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("sys.path."):
            pytest.fail(f"line {node.lineno}: {ast.unparse(node)}")
    assert not {"pickle", "dill", "cloudpickle", "shelve"} & {module.split(".")[0] for _, module in imported(path)}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import envs", SIMULATORS | {"torch", "policy", "eval"}),
        ("import envs.demos.episodes", SIMULATORS | {"torch", "policy", "eval"}),
        ("import policy", SIMULATORS | {"eval"}),
        ("import policy.agent, policy.model", SIMULATORS | {"eval"}),
        ("import whatwhere.command, whatwhere.files, whatwhere.versions", SIMULATORS | {"torch", "numpy", "hydra", "policy", "envs", "eval"}),
    ],
)
def test_importing_is_light(tmp_path: Path, statement: str, absent: set[str]) -> None:
    program = f"import json, os, sys\n{statement}\nprint(json.dumps([sorted(sys.modules), [key for key in {CHOICES} if key in os.environ]]))"
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules, chosen = json.loads(done.stdout.splitlines()[-1])
    assert not absent & set(modules)
    assert not chosen, "an import chose a device or a GL back-end"
