"""Environments in other threads than the one that made them, and in forked processes: they work, or say in a line why not; nothing is said at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import envs
from envs.rendering.context import FORKED

ROOT = Path(__file__).resolve().parents[2]
BEGIN = """
import threading, sys
import numpy as np
import envs

def in_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]

make = lambda: envs.make("pick_at_xy", size=32)
first = lambda env: env.reset(seed=1)[0]["frames"]
if __name__ == "__main__":
    truth = first(make())
"""


def run(tmp_path: Path, program: str, begin: str = BEGIN, **environment: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "program.py"
    path.write_text(begin + "".join(f"    {line}\n" for line in program.strip().splitlines()))
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "LP_NUM_THREADS": "0", **environment}
    return subprocess.run([sys.executable, str(path)], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=200, check=False)


PROGRAMS = {
    "made here, used there": """
env = make()
assert np.array_equal(in_thread(lambda: first(env)), truth)
assert np.array_equal(first(env), truth)
assert in_thread(lambda: env.render()).shape == (480, 640, 3)
""",
    "made and used there, closed here": """
env = in_thread(make)
in_thread(lambda: first(env))
env.close()
assert np.array_equal(first(make()), truth)
""",
    "used here, closed there": """
env, other = make(), make()
first(env), first(other)
in_thread(env.close)
assert np.array_equal(first(other), truth)
""",
    "left open, its thread gone": """
env = in_thread(make)
in_thread(lambda: first(env))
""",
    "left to the garbage collector in another thread": """
import gc
held = [make()]
first(held[0])
in_thread(lambda: (held.clear(), gc.collect()))
assert np.array_equal(first(make()), truth)
""",
    "one for each thread, at once": """
made = [make() for _ in range(3)]
found = [None] * 3
def work(i):
    for _ in range(5):
        found[i] = first(made[i])
threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert all(np.array_equal(frames, truth) for frames in found)
""",
}


@pytest.mark.parametrize("backend", ["egl", "osmesa"])
def test_threads(tmp_path: Path, backend: str) -> None:
    """All in one process, the one that is left open last."""
    names = sorted(PROGRAMS, key=lambda name: "left open" in name) if backend == "egl" else ["used here, closed there"]
    programs = [PROGRAMS[name] for name in names]
    done = run(tmp_path, "".join(programs) + 'print("done")\n', MUJOCO_GL=backend, WHATWHERE_GL=f"{backend}:llvmpipe")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_two_threads_with_one_environment_is_said() -> None:
    env = envs.make("pick_at_xy", size=32)
    env.reset(seed=0)
    renderer = env._renderer  # type: ignore[attr-defined]
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with renderer._alone():
            held.set()
            go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        with pytest.raises(RuntimeError, match="another thread is drawing with this environment"):
            env.render()
    finally:
        go.set()
        thread.join()
    assert env.render().shape == (480, 640, 3)
    env.close()


FORK = """
import multiprocessing
def work(env):
    try:
        print("pixels", int(first(env or make()).sum()), flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
def forked(env):
    process = multiprocessing.get_context("fork").Process(target=work, args=(env,))
    process.start()
    process.join(100)
    process.kill()
"""


@pytest.mark.parametrize("threads", ["0", "1"])
def test_a_forked_process_draws_or_says_why_not(tmp_path: Path, threads: str) -> None:
    """Mesa's own threads are not there after a fork, and it would wait for them for ever."""
    done = run(tmp_path, FORK + "env = make()\nfirst(env)\nforked(env)\nforked(None)\n", LP_NUM_THREADS=threads, WHATWHERE_GL="egl:llvmpipe")
    assert done.returncode == 0 and done.stderr == ""
    inherited, own = done.stdout.splitlines()
    assert inherited == f"BadInput {FORKED}"
    assert own.startswith("pixels") if threads == "0" else own == f"BadInput {FORKED}"


def test_an_environment_that_has_not_drawn_survives_a_fork(tmp_path: Path) -> None:
    """As AsyncVectorEnv has it: it makes one to ask for its spaces, closes it, and forks."""
    done = run(tmp_path, FORK + "make().close()\nforked(None)\n", begin=BEGIN.replace("truth = first(make())", "pass"), LP_NUM_THREADS="1")
    assert done.stdout.startswith("pixels"), done


def test_drawing_in_a_thread_leaves_the_pictures_as_they_are() -> None:
    env = envs.make("pick_at_xy", size=32)
    here = env.reset(seed=3)[0]["frames"]
    found: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: found.append(env.reset(seed=3)[0]["frames"]))
    thread.start()
    thread.join()
    assert np.array_equal(here, found[0])
    env.close()
