"""Demonstrations of several tasks, or in several folders, as one set: a policy that tells tasks apart by the instruction alone (spec B10)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from policy.training.dataset import Demos
from whatwhere.errors import BadInput

ALIKE = ("rendering", "size", "cameras", "frame_gap", "control_hz", "origin", "split")  # settings that all must have in common
ROWS = ("previous", "seen", "first", "last")  # fields of Demos that are numbers of samples


def joined(parts: Sequence[Demos], names: Sequence[str]) -> Demos:
    """The samples of all `parts`, one part after the other; one alone is given back as it is. `names`: what errors call them.

    Raises BadInput where they are not of one robot, its cameras and actions. `attrs["tasks"]` says which versions of which tasks they are of.
    """
    if len(parts) == 1:
        return parts[0]
    for name, part in zip(names, parts, strict=True):
        _check(names[0], parts[0], name, part)
    begins = np.cumsum([0, *map(len, parts)])
    arrays = {}
    for field in dataclasses.fields(Demos):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], np.ndarray):
            shifted = [value + begin if field.name in ROWS else value for value, begin in zip(values, begins, strict=False)]
            arrays[field.name] = np.concatenate(shifted)
    instructions = tuple(dict.fromkeys(said for part in parts for said in part.instructions))
    arrays["told"] = np.concatenate([np.array([instructions.index(said) for said in part.instructions])[part.told] for part in parts])
    return dataclasses.replace(
        parts[0],
        **arrays,
        instructions=instructions,
        attrs=parts[0].attrs | {"tasks": {part.attrs["task"]: part.attrs["task_version"] for part in parts}},
        init_hashes=tuple(one for part in parts for one in part.init_hashes),
        starts=tuple(one for part in parts for one in part.starts),
        digest=hashlib.sha256(" ".join(part.digest for part in parts).encode()).hexdigest()[:16],
        corrections=sum(part.corrections for part in parts),
        played=sum(part.played for part in parts),
        originals=tuple(one for part in parts for one in part.originals),
        mirrored=any(part.mirrored for part in parts),
    )


def _check(one: str, known: Demos, name: str, part: Demos) -> None:
    for key in ALIKE:
        if (known.attrs.get(key) or None) != (part.attrs.get(key) or None):
            raise BadInput(f"demos={name}: {key}={part.attrs.get(key)}, but demos={one} has {key}={known.attrs.get(key)}; one policy has one of each")
    for what, found, valid in (
        ("actions", part.chunks.shape[-1], known.chunks.shape[-1]),
        ("proprio", part.proprio.shape[-1], known.proprio.shape[-1]),
    ):
        if found != valid:
            raise BadInput(f"demos={name}: {what} of {found} numbers, those of demos={one} have {valid}: another robot")
    versions = known.attrs["task_version"], part.attrs["task_version"]
    if known.attrs["task"] == part.attrs["task"] and versions[0] != versions[1]:
        raise BadInput(f"demos={name}: version {versions[1]} of {part.attrs['task']}, but demos={one} is of version {versions[0]}")
