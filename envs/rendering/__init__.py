"""Pictures of a MuJoCo state: `prepare_gl()` finds a back-end, `Renderer` draws, fast (decimated meshes) or exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envs.rendering.gl import prepare_gl

if TYPE_CHECKING:
    from envs.rendering.renderer import Renderer

__all__ = ["Renderer", "prepare_gl"]


def __getattr__(name: str) -> Any:
    if name == "Renderer":  # imports mujoco, which fails where MUJOCO_GL names a back-end that is not there: prepare_gl() first
        from envs.rendering.renderer import Renderer

        return Renderer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
