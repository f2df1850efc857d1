"""What latent diffusion needs that is not always there. Imports no torch."""

from __future__ import annotations

from importlib.util import find_spec

from whatwhere.errors import BadInput


def need_diffusers(by: str) -> None:
    """Raises BadInput where diffusers is not installed: a line that says what to install."""
    if find_spec("diffusers") is None:
        raise BadInput(f"{by}: needs diffusers, not installed here; run: pip install 'whatwhere[diffusion]'")
