"""Pictures of a MuJoCo state: `prepare_gl()` finds a back-end, `Renderer` draws, fast (decimated meshes) or exact."""

from __future__ import annotations

from envs.rendering.gl import prepare_gl
from envs.rendering.renderer import RENDERINGS, Renderer

__all__ = ["RENDERINGS", "Renderer", "prepare_gl"]
