"""Checks this machine: versions, rendering, cores and memory, torch, caches, checkpoints; then runs one step of a task.

Names a remedy for each problem; exits 1 if there is a problem.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from whatwhere.command import command
from whatwhere.cores import usable_cores
from whatwhere.disk import check_writable, why_not_writable
from whatwhere.errors import BadInput, Failed
from whatwhere.files import atomic
from whatwhere.kinds import OutputFile
from whatwhere.options import options
from whatwhere.versions import MUJOCO, ROBOSUITE, installed

GIB = 2**30
TASK, CHECKPOINT = "pick_at_xy", "pick_at_xy/pixelwise"  # what is tried
TRY_TIMEOUT_S = 300  # the first environment compiles for 20 seconds on a quick machine
TRY = f"""
import sys
from whatwhere.errors import BadInput
try:
    import torch
    torch.set_num_threads(1)
    from policy.agent import Agent
    agent = Agent.from_pretrained({CHECKPOINT!r}, device="auto") if "policy" in sys.argv else None
    import envs
    env = envs.make({TASK!r})
    obs, info = env.reset(seed=0)
    env.step([0.0] * 7 if agent is None else agent.act(obs)[0])
    env.close()
except BadInput as error:
    sys.exit(str(error))
"""
LEAST_MEMORY_GIB, LEAST_DISK_GIB = 4, 2
RED = (120, 60)  # at least this much red and at most that much green and blue, in the middle of the test frame
TEST_SCENE = """
<mujoco><worldbody>
  <light pos="0 -1 2" dir="0 0.5 -1"/>
  <geom type="plane" size="1 1 .1" group="1" rgba=".9 .9 .9 1"/>
  <geom type="box" size=".1 .1 .1" pos="0 0 .1" group="1" rgba="1 0 0 1"/>
  <camera name="test" pos="0 -.4 .5" xyaxes="1 0 0 0 .707 .707"/>
</worldbody></mujoco>
"""
GIVEN = dict(os.environ)  # before a check changes it


@options
class Settings:
    picture: OutputFile | None


@dataclass(frozen=True)
class Finding:
    """A line of the report. `remedy` is what to do about it; with `problem` the machine cannot do its work before that."""

    name: str
    value: str
    remedy: str = ""
    problem: bool = False

    def __str__(self) -> str:
        mark = "!!" if self.problem else "  "
        return f"{mark} {self.name:<12} {self.value}" + (f"\n   {'':<12} → {self.remedy}" if self.remedy else "")


def versions(_: Settings) -> Iterator[Finding]:
    """Python and packages against what the distribution asks for, the simulator against its exact pins."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    try:
        asked, python = metadata.requires("whatwhere") or [], metadata.metadata("whatwhere")["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        asked, python = [], ""
        yield Finding("whatwhere", "not installed", "make setup, or: pip install -e .", True)
    fits = SpecifierSet(python).contains(platform.python_version(), prereleases=True)
    remedy = "" if fits else f"needs {python}: make a virtual environment with such a Python"
    yield Finding("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}", remedy, not fits)
    pins = [f"mujoco=={MUJOCO}", f"robosuite=={ROBOSUITE}"]
    wanted = {requirement.name: requirement for requirement in map(Requirement, [*asked, *pins]) if not requirement.marker}
    fine = []
    for name, requirement in wanted.items():
        found = installed(name)
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            yield Finding(name, found or "not installed", f"pip install '{requirement}'", True)
        elif name in ("torch", "timm", "gymnasium", "numpy") or f"{name}=={found}" in pins:
            fine.append(f"{name} {found}")
    yield Finding("packages", ", ".join(fine))


def rendering(settings: Settings) -> Iterator[Finding]:
    """The OpenGL back-end, and a frame drawn with it."""
    from envs.rendering.gl import PACKAGES, is_software, prepare_gl
    from whatwhere.system import missing

    if installed("mujoco") is None:
        return  # named among the versions
    try:
        backend, renderer = prepare_gl()
    except BadInput as error:
        packages = " ".join(missing()) or PACKAGES
        yield Finding("rendering", str(error).removeprefix("rendering: ").partition(";")[0], f"apt-get install {packages}", True)
        return
    except Failed as error:
        told, _, remedy = str(error).removeprefix("rendering: ").partition("; ")
        yield Finding("rendering", told, remedy, True)
        return
    yield Finding("rendering", f"{backend}, {renderer}" + (" (on the processor: works, but slower than a GPU)" if is_software(renderer) else ""))
    yield _test_frame(settings.picture)


def _test_frame(picture: str | None) -> Finding:
    import mujoco

    from envs.rendering import Renderer

    model = mujoco.MjModel.from_xml_string(TEST_SCENE)
    data = mujoco.MjData(model)
    renderer = Renderer(model)
    renderer.draw(data, "test", 96, 96)
    start = time.perf_counter()
    frame = renderer.draw(data, "test", 96, 96)
    milliseconds = 1000 * (time.perf_counter() - start)
    renderer.close()
    if picture is not None:
        import imageio.v3 as imageio

        with atomic(picture) as draft:
            imageio.imwrite(draft, frame, extension=".png")
    red, green, blue = frame[48, 48].tolist()
    if red < RED[0] or max(green, blue) > RED[1]:
        wrong = f"wrong: the middle should be red and is {red}, {green}, {blue}"
        return Finding("test frame", wrong, "try the other back-end: MUJOCO_GL=osmesa (or egl)", True)
    return Finding("test frame", f"drawn in {milliseconds:.1f} ms")


def machine(_: Settings) -> Iterator[Finding]:
    """Cores, memory, disk."""
    threads = os.environ.get("OMP_NUM_THREADS")
    yield Finding("cores", f"{usable_cores()} of {os.cpu_count()} usable" + (f", OMP_NUM_THREADS={threads}" if threads else ""))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    yield Finding("memory", f"{memory:.0f} GiB", *_short(memory, LEAST_MEMORY_GIB, "use num_envs=1 and a smaller batch"))
    free = shutil.disk_usage(Path.cwd()).free / GIB
    yield Finding("disk", f"{free:.0f} GiB free in {Path.cwd()}", *_short(free, LEAST_DISK_GIB, "free some space, or work in another folder"))
    if (reason := why_not_writable("outputs")) is not None:
        yield Finding("outputs", f"cannot be written here ({reason})", "work in another folder, or give out= (and for trainings cache=) one elsewhere", True)


def _short(value: float, least: float, remedy: str) -> tuple[str, bool]:
    return ("", False) if value >= least else (f"less than {least} GiB: {remedy}", True)


def torch_device(_: Settings) -> Iterator[Finding]:
    """Where policies compute."""
    import torch

    from policy.training.device import choose_device

    device = choose_device("auto")
    if device.type == "cuda":
        name, native = torch.cuda.get_device_name(device), torch.cuda.is_bf16_supported()
    else:
        able = torch.cpu.get_capabilities()
        name, native = f"{able.get('cpu_name', 'processor')}, {torch.get_num_threads()} threads", bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    yield Finding("torch", f"device {device} ({name}), bf16 {'in hardware' if native else 'not in hardware: precision=fp32 is faster'}")


def caches(_: Settings) -> Iterator[Finding]:
    """Where decimated meshes and compiled control code are kept."""
    from envs.rendering.meshes import cache_dir

    folder = cache_dir()
    lasting = Path(tempfile.gettempdir()).resolve() not in folder.resolve().parents or "WHATWHERE_CACHE" in os.environ
    yield Finding("cache", str(folder), "" if lasting else "temporary, since home cannot be written; to keep it, set WHATWHERE_CACHE to a folder that can")


def checkpoints(_: Settings) -> Iterator[Finding]:
    """Every file that a manifest lists."""
    from policy.storage.stored import MANIFEST, read_manifest, roots, verify

    listed = [root for root in roots() if (root / MANIFEST).is_file()]
    if not listed:
        yield Finding("checkpoints", "no manifest found", "run in the source tree, or set WHATWHERE_CHECKPOINTS to a folder with a manifest.json", True)
    seen = set()
    for root in listed:
        if root.resolve() in seen:
            continue
        seen.add(root.resolve())
        try:
            names = read_manifest(root)["checkpoints"]
            for name in names:
                verify(root / name)
        except BadInput as error:
            yield Finding("checkpoints", str(error), f"get the files again (git restore {root}), or train with python -m policy.finetune", True)
            continue
        yield Finding("checkpoints", f"{len(names)} verified in {root}", "" if names else "train one: python -m policy.finetune --help")


def one_step(_: Settings) -> Iterator[Finding]:
    """A task, its picture, a policy's answer and a control step, as the commands do it: in a process of its own, in the environment this one was given."""
    from policy.storage.stored import locate

    try:
        locate(CHECKPOINT)
        with_policy = ["policy"]
    except BadInput:
        with_policy = []  # named among the checkpoints
    what = f"{TASK}, drawn and simulated" + (f", acted on by {CHECKPOINT}" if with_policy else "")
    begin = time.perf_counter()
    try:
        done = subprocess.run([sys.executable, "-c", TRY, *with_policy], env=GIVEN, capture_output=True, text=True, timeout=TRY_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        yield Finding("one step", f"{what}: nothing after {TRY_TIMEOUT_S} s", "free some memory and cores, then try again", True)
        return
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}" if done.returncode < 0 else "it says nothing"])[-1]
        yield Finding("one step", f"{what}: {last[:300]}", f"the whole message: python -m envs.view task={TASK}", True)
        return
    yield Finding("one step", f"{what}, start included, in {time.perf_counter() - begin:.0f} s")


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (versions, rendering, machine, torch_device, caches, checkpoints, one_step)


def _guarded(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except ImportError as error:
        yield Finding(check.__name__.replace("_", " "), f"cannot be looked at: {error}", "make setup", True)


def main(settings: Settings) -> None:
    if settings.picture is not None:
        check_writable("picture", Path(settings.picture).parent)
    problems = 0
    for check in CHECKS:
        for finding in _guarded(check, settings):
            print(finding, flush=True)
            problems += finding.problem
    print(f"{problems} problem{'s' * (problems != 1)}" if problems else "all fine")
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    command("eval.conf", "doctor", Settings, main)
