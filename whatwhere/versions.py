"""The versions that the numbers depend on."""

from __future__ import annotations

from importlib import metadata

from whatwhere.errors import BadInput

# robosuite 1.5.2 breaks with mujoco 3.10 (mj_fullM), 3.11 (MjData.qM) and 3.12 (enum comparison), and contact behaviour
# changed in 3.8, so one exact version is pinned and stamped into every dataset, checkpoint and result.
MUJOCO = "3.9.0"
ROBOSUITE = "1.5.2"

STAMPED = ("whatwhere", "mujoco", "robosuite", "gymnasium", "numpy", "torch", "timm")


def installed(name: str) -> str | None:
    """The installed version of a distribution without importing it; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def stamp() -> dict[str, str | None]:
    """What goes into datasets, checkpoints and results."""
    return {name: installed(name) for name in STAMPED}


def check_simulator() -> None:
    """Raises BadInput unless mujoco and robosuite are the pinned versions (called before they are imported)."""
    for name, pinned in (("mujoco", MUJOCO), ("robosuite", ROBOSUITE)):
        found = installed(name)
        if found != pinned:
            why = f"other versions break or change contacts; run: pip install {name}=={pinned}"
            raise BadInput(f"{name}: found {found or 'none'}, needs exactly {pinned} ({why})")
