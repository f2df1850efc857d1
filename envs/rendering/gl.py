"""Which OpenGL back-end draws off screen: EGL, else OSMesa, found by drawing a picture with each in a process of its own.

A failed attempt can leave the OpenGL libraries of a process in a state from which they do not recover, hence the
subprocess. What the user's environment says of OpenGL counts if it draws; what keeps a back-end from drawing is left out, and named.
The answer is kept in an environment variable, so that worker processes do not ask again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from whatwhere.errors import BadInput, Failed

BACKENDS = ("egl", "osmesa")
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software")
PACKAGES = "libegl1 libegl-mesa0 libgl1-mesa-dri"  # of Debian and Ubuntu, for EGL
REMEDY = f"rendering: no OpenGL back-end draws off screen (tried EGL and OSMesa); run: apt-get install {PACKAGES} (or libosmesa6 for OSMesa)"
PROBE_TIMEOUT_S = 60  # ten times what it takes where nothing else runs, and more

FOUND = "WHATWHERE_GL"  # "egl:llvmpipe (LLVM 15.0.6, 256 bits)", set by the first process that looked
# What steers OpenGL on Linux: devices, displays, drivers (Mesa's and the vendors' own). MUJOCO_GL and PYOPENGL_PLATFORM are set here in any case.
STEERING = ("MUJOCO_EGL_DEVICE_ID", "DISPLAY", "WAYLAND_DISPLAY")
STEERING_PREFIXES = ("EGL_", "GALLIUM_", "LIBGL_", "MESA_", "__EGL_", "__GLX_")
_PROBE = """
import importlib, sys
import mujoco
context = importlib.import_module("mujoco." + sys.argv[1]).GLContext(64, 64)
context.make_current()
from OpenGL import GL
print("renderer=" + GL.glGetString(GL.GL_RENDERER).decode())
model = mujoco.MjModel.from_xml_string('<mujoco><visual><quality shadowsize="0"/></visual><worldbody/></mujoco>')
mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
print("draws")
"""


def prepare_gl() -> tuple[str, str]:
    """The back-end ("egl" or "osmesa") and the name of its renderer. To be called before the first use of OpenGL, by every process.

    Sets MUJOCO_GL and PYOPENGL_PLATFORM, trying first what MUJOCO_GL asks for, and unsets variables with which that back-end does not draw.
    A software renderer and what was unset are named once on stderr. Raises BadInput if nothing draws, Failed if that could not be found out in time.
    """
    backend, _, renderer = os.environ.get(FOUND, "").partition(":")
    if backend not in BACKENDS:
        backend, renderer, without = _search()
        for name in without:
            del os.environ[name]
        os.environ[FOUND] = f"{backend}:{renderer}"
    os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = backend
    # One thread draws: at the sizes used here Mesa's drawing threads cost more than they bring, and workers share the cores.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    _load_triton_before_mesa()
    return backend, renderer


def is_software(renderer: str) -> bool:
    """Whether the renderer of that name draws on the processor."""
    return any(word in renderer.lower() for word in SOFTWARE)


def _search() -> tuple[str, str, list[str]]:
    """Back-end, renderer, and the variables without which it draws."""
    wish = os.environ.get("MUJOCO_GL", "").lower().strip()
    steering = sorted(name for name in os.environ if name in STEERING or name.startswith(STEERING_PREFIXES))
    slow = []
    for backend in sorted(BACKENDS, key=lambda name: name != wish):
        for without in [[], steering] if steering else [[]]:
            try:
                renderer = probe(backend, without)
            except subprocess.TimeoutExpired:
                slow.append(backend)
                break
            if renderer is None:
                continue
            if without:
                said = ", ".join(f"{name}={os.environ[name]}" for name in without)
                print(f"rendering: {backend.upper()} does not draw with {said}; drawing without", file=sys.stderr, flush=True)
            if is_software(renderer):
                print(f"rendering: no GPU was found, so {backend.upper()} draws on the processor ({renderer})", file=sys.stderr, flush=True)
            return backend, renderer, without
    if slow:
        raise Failed(
            f"rendering: {' and '.join(map(str.upper, slow))} drew nothing within {PROBE_TIMEOUT_S} s, as where the machine is overloaded; run the command "
            f"again when less is running, or without this trial, if you know that it draws: {FOUND}={slow[0]}"
        )
    raise BadInput(REMEDY)


def probe(backend: str, without: Sequence[str] = ()) -> str | None:
    """The name of the renderer behind `backend` in an environment that lacks the variables `without`, or None if it does not draw there.

    Raises subprocess.TimeoutExpired where it takes too long to tell.
    """
    environment = {name: value for name, value in os.environ.items() if name not in without} | {"MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    done = subprocess.run([sys.executable, "-c", _PROBE, backend], env=environment, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    lines = done.stdout.splitlines()
    names = [line.removeprefix("renderer=") for line in lines if line.startswith("renderer=")]
    return names[0] if names and "draws" in lines else None  # its exit code does not count: a driver that fails at the end has drawn


@contextlib.contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Environment variables out of sight, for robosuite: it refuses a GPU for drawing that is none of CUDA_VISIBLE_DEVICES, which is for computing."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _load_triton_before_mesa() -> None:
    """Loads the LLVM in triton before the one in Mesa: the other way round a later `import torchvision` kills the process.

    Where Mesa was in use before, it is too late to do so: then only torchvision imported by the user earlier helps.
    """
    name = "triton._C.libtriton"
    if name in sys.modules or importlib.util.find_spec("triton") is None or _is_mesa_loaded():
        return
    with contextlib.suppress(ImportError):  # a broken triton: torchvision does without it
        importlib.import_module(name)


def _is_mesa_loaded() -> bool:
    try:
        return "libLLVM" in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return False
