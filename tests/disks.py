"""Real file systems of the kinds that fail: tiny ones that fill up, ones that cannot be written, and ones without locks. Mounting needs root."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NO_LOCKS = """
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
int flock(int handle, int how) { errno = CODE; return -1; }
"""


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """`folder` as a mount of its own; skips the test where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def tiny_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    with mounted(folder, "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs") as disk:
        yield disk


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """What is in `folder`, on a file system that cannot be written: also not by root."""
    with mounted(folder, "--bind", str(folder)):
        done = subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount here ({done.stderr.strip()})")
        yield folder


def fill(disk: Path, leave: int = 0) -> Path:
    """Fills a disk but for about `leave` bytes; returns the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
        file.truncate(max(0, file.tell() - leave))
    return ballast


def run(
    *words: str, cwd: Path = ROOT, shell: str | None = None, timeout_s: float = 240, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of the package, `module key=value …`, from the source tree; or a line of the shell in which {python} is the interpreter."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | dict(more or {})
    command = ["bash", "-c", shell.replace("{python}", sys.executable)] if shell else [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)


def one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Asserts the exit code, and that what was said on stderr (progress aside) is one line with `words` in it."""
    lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    assert lines and all(word in lines[-1] for word in words), done.stderr


def without_locks(folder: Path, code: int = errno.ENOLCK) -> dict[str, str]:
    """The environment of a process in which flock fails with `code`, for Python and for libraries: as on a share without locks."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no compiler here")
    source, library = folder / "no_locks.c", folder / f"no_locks_{code}.so"
    source.write_text(NO_LOCKS)
    subprocess.run([compiler, f"-DCODE={code}", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return {"LD_PRELOAD": str(library)}
