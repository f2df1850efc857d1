"""Which OpenGL back-end draws off screen: EGL, else OSMesa, found by trying each in a process of its own.

A failed attempt can leave the OpenGL libraries of a process in a state from which it does not recover, hence the
subprocess. The answer is kept in environment variables, so that workers do not ask again.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Any

from whatwhere.errors import BadInput

BACKENDS = ("egl", "osmesa")
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software")
REMEDY = "no OpenGL back-end draws off screen; install libegl1 and libgl1-mesa-dri (EGL) or libosmesa6: apt-get install libegl1 libgl1-mesa-dri"

_FOUND = "WHATWHERE_GL"  # "egl:llvmpipe (LLVM 15.0.6, 256 bits)", set by the first process that looked
_PROBE = """
import sys
name = sys.argv[1]
context_of = __import__("mujoco." + name, fromlist=["GLContext"]).GLContext
context = context_of(64, 64)
context.make_current()
from OpenGL import GL
print("renderer=" + GL.glGetString(GL.GL_RENDERER).decode())
"""


def prepare_gl() -> tuple[str, str]:
    """The back-end ("egl" or "osmesa") and the renderer's name; call before the first use of OpenGL, and as often as you like.

    Sets MUJOCO_GL and PYOPENGL_PLATFORM. A software renderer is named once on stderr. Raises BadInput if nothing draws.
    """
    if _FOUND not in os.environ:
        os.environ[_FOUND] = ":".join(_search())
    backend, renderer = os.environ[_FOUND].split(":", 1)
    os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = backend
    _import_before_mesa()
    return backend, renderer


def gl_context(width: int, height: int) -> Any:
    """An off-screen context of the back-end that `prepare_gl` found. Belongs to the thread that makes it current."""
    backend, _ = prepare_gl()
    return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)


def _search() -> tuple[str, str]:
    wish = os.environ.get("MUJOCO_GL", "").lower()
    for backend in sorted(BACKENDS, key=lambda name: name != wish):
        renderer = _probe(backend)
        if renderer is None:
            continue
        if any(word in renderer.lower() for word in SOFTWARE):
            print(f"rendering: {backend} draws in software ({renderer}): no GPU was found, frames take longer", file=sys.stderr, flush=True)
        return backend, renderer
    raise BadInput(REMEDY)


def _probe(backend: str) -> str | None:
    """The name of the renderer behind `backend`, or None if it does not work."""
    environment = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE, backend], env=environment, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith("renderer=")]
    return lines[0].removeprefix("renderer=") if lines and done.returncode == 0 else None


def _import_before_mesa() -> None:
    """Loads triton's LLVM before Mesa's: the other way round its symbols clash and the process dies (torchvision imports triton)."""
    if "triton._C.libtriton" in sys.modules or importlib.util.find_spec("triton") is None:
        return
    importlib.import_module("triton._C.libtriton")
