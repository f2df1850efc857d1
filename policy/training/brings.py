"""What `align=FOLDER` decides of a policy besides. Imports nothing that reads files."""

from __future__ import annotations

from typing import Any

from policy.language import UNNAMED_LANGUAGE
from whatwhere.errors import BadInput

# option: (what it is where nothing is said, what an alignment brings)
BRINGS = {
    "encoder": ("pixelwise", "all_patches_late"),
    "language": (UNNAMED_LANGUAGE, "aligned"),
    "join": ("beside", "similarity"),
    "streams_used": ("both", "p"),
}
NEARBY = "nearby"  # the join that it allows in the place of its own


def brought(settings: Any) -> dict[str, Any]:
    """Of a training's settings those that `align=` decides. Raises BadInput for those that contradict it."""
    if settings.align is None:
        if settings.language == "aligned":
            raise BadInput("language=aligned: needs align=FOLDER, which python -m policy.align makes, or align=shipped")
        return {}
    brings_all = {name: brings for name, (_, brings) in BRINGS.items()}
    if settings.join == NEARBY:
        brings_all["join"] = NEARBY
    for name, (usual, _) in BRINGS.items():
        brings = brings_all[name]
        if (value := getattr(settings, name)) not in (usual, brings):
            raise BadInput(f"{name}={value}: align={settings.align} brings {name}={brings}; leave {name}= out")
    if settings.contrast:
        raise BadInput(f"contrast={settings.contrast:g}: with align= nothing that looks at pictures learns; leave one of them out")
    if settings.unfreeze:
        raise BadInput("unfreeze=true: words were aligned with these streams' patches; leave it out, or align=")
    return brings_all
