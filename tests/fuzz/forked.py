"""Runs commands of the package fast: one process imports what they need, and each command is a fork of it, watched from outside.

with Forked() as forked:
    done = forked.run(["eval.report", "folders=rows"], cwd=folder)
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "numpy", "h5py", "torch", "torchvision", "timm", "hydra", "omegaconf", "hydra.core.override_parser.overrides_parser", "av", "PIL.Image",
    "matplotlib.pyplot", "pyarrow.parquet", "msgspec", "safetensors.torch", "torch.utils.tensorboard", "policy.agent", "policy.training.loop",
    "policy.pretrain.loop", "policy.finetune", "eval.report", "envs.demos.convert", "envs.demos.inspect",
)  # fmt: skip
ADDRESS_SPACE = 12 << 30  # bytes: enough for torch's mappings; what is really used is measured


@dataclass(frozen=True)
class Done:
    """What came of a command. `code` is None if it did not end in time."""

    code: int | None
    seconds: float
    peak_mib: int  # largest resident memory, what was imported beforehand included
    out: str
    err: str

    def complaint(self, limit_mib: int) -> str | None:
        """Why this is not how a command may end; None if it is."""
        if self.code is None:
            return f"hangs (killed after {self.seconds:.1f} s)"
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        if "Traceback (most recent call last)" in self.err + self.out:
            return "a traceback"
        if self.peak_mib > limit_mib:
            return f"{self.peak_mib} MiB"
        lines = [line for line in self.err.splitlines() if line.strip() and not line.startswith("decoded ")]  # how far it got, shown before
        if self.code == 2 and len(lines) != 1:
            return "exit code 2 without exactly one line"
        if self.code == 2 and len(self.err) > 1500:
            return f"a line of {len(self.err)} characters"
        return None


class Forked:
    """The process that imports, forks and watches."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "tests.fuzz.forked", str(timeout_s)]
        self._process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError("the process that forks did not start")

    def run(self, words: Sequence[str], cwd: Path, more: Mapping[str, str] | None = None) -> Done:
        """`words`: module and arguments. `more`: of its environment."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"words": list(words), "cwd": str(cwd), "more": dict(more or {})}) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate("", timeout=30)


def _serve(timeout_s: float) -> None:
    for name in HEAVY:
        with contextlib.suppress(ModuleNotFoundError):  # an extra that is not installed
            __import__(name)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_watched(json.loads(line), timeout_s)), flush=True)


def _watched(job: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    out, err = (Path(job["cwd"]) / name for name in (".stdout", ".stderr"))
    began = time.monotonic()
    if not (pid := os.fork()):
        _child(job, out, err)
    code, usage = None, None
    while code is None and time.monotonic() - began < timeout_s:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
        else:
            time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # and whatever it started
    if code is None:
        _, _, usage = os.wait4(pid, 0)
    assert usage is not None
    said = {"out": out.read_text(errors="replace")[-4000:], "err": err.read_text(errors="replace")[-4000:]}
    return {"code": code, "seconds": time.monotonic() - began, "peak_mib": usage.ru_maxrss // 1024, **said}


def _child(job: dict[str, Any], out: Path, err: Path) -> None:
    """The command, in the fork. Does not return."""
    os.setsid()
    for handle, path in ((0, Path(os.devnull)), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDONLY if handle == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC), handle)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    code: Any = 0
    try:
        os.chdir(job["cwd"])
        os.environ.update(job["more"])
        module, *arguments = job["words"]
        sys.argv = [module, *arguments]
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # the module was imported before it is run
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(float(sys.argv[1]))
