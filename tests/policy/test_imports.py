"""The policy stands alone: no simulator, no GL, and names without torch."""

from __future__ import annotations

import subprocess
import sys

FORBIDDEN = ("mujoco", "robosuite", "gymnasium", "OpenGL", "glfw", "envs.tasks")


def left_out(imports: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys\n{imports}\nfound = [name for name in {forbidden!r} if name in sys.modules]\nassert not found, found"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_policy_imports_no_simulator() -> None:
    left_out("import policy, policy.model, policy.agent, policy.storage.checkpoint, policy.streams, policy.heads.reader, policy.heads.l1", FORBIDDEN)


def test_names_are_listed_without_torch() -> None:
    left_out("from policy.config import PolicyConfig; from policy.storage.checkpoint import verify, find; PolicyConfig()", ("torch", "timm", *FORBIDDEN))
