"""An off-screen OpenGL context for any thread: it is current in one while that draws, and in none otherwise."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

from envs.rendering.gl import is_software, prepare_gl
from whatwhere.errors import BadInput

FORKED = (
    "rendering: this process was forked from one that had drawn, and OpenGL does not survive that; start it afresh, "
    'as with multiprocessing.get_context("spawn") or AsyncVectorEnv(…, context="spawn")'
)

_used_in: int | None = None  # the process that first had a context
_inherited: list[Any] = []  # of the process that this one was forked from: never freed here


class Context:
    """Raises BadInput where a fork has made OpenGL unusable."""

    def __init__(self, width: int, height: int) -> None:
        global _used_in
        self._backend, renderer = prepare_gl()
        self._process = os.getpid()
        is_forked = _used_in not in (None, self._process)
        if is_forked and is_software(renderer) and os.environ.get("LP_NUM_THREADS") != "0":
            raise BadInput(FORKED)  # Mesa would wait for ever, for threads that are not here
        try:
            self._gl: Any = importlib.import_module(f"mujoco.{self._backend}").GLContext(width, height)
        except Exception as error:  # whatever a driver makes of it
            if is_forked:
                raise BadInput(FORKED) from error
            raise
        _used_in = _used_in or self._process

    @property
    def is_ours(self) -> bool:
        """Whether this process made it, and may free it."""
        return os.getpid() == self._process

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """OpenGL draws here meanwhile, in this thread. Raises BadInput in a forked process."""
        if not self.is_ours:
            raise BadInput(FORKED)
        if self._backend == "egl":
            from mujoco import egl
            from mujoco.egl import egl_ext as EGL

            EGL.eglBindAPI(EGL.EGL_OPENGL_API)  # for each thread anew; the default is OpenGL ES
            self._gl.make_current()
            try:
                yield
            finally:
                EGL.eglMakeCurrent(egl.EGL_DISPLAY, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, EGL.EGL_NO_CONTEXT)
        else:
            from OpenGL import GL, osmesa

            self._gl.make_current()
            try:
                yield
            finally:
                osmesa.OSMesaMakeCurrent(None, None, GL.GL_FLOAT, 0, 0)

    def free(self) -> None:
        if self.is_ours:
            self._gl.free()
        else:
            _inherited.append(self._gl)
