"""The space of instructions: any text in any language, also where environments run in processes of their own and share their memory.

gymnasium's own Text has an alphabet, needs one letter at least, and its shared memory is read once, before there is anything in it: every observation of an
AsyncVectorEnv then says "0000…". This one is written as code points and read when it is looked at or copied.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatten, flatten_space, unflatten
from gymnasium.vector.utils import read_from_shared_memory, write_to_shared_memory

from whatwhere.errors import BadInput

LONGEST = 1000  # characters
LAST_CHARACTER = 0x10FFFF


class Instruction(spaces.Text):
    """Texts of at most LONGEST characters, the empty one too, without zero bytes and lone surrogates."""

    def __init__(self) -> None:
        super().__init__(LONGEST, min_length=0, charset=string.printable)  # from which samples are drawn

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= LONGEST and "\0" not in x and not any("\ud800" <= sign <= "\udfff" for sign in x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instruction)

    def __repr__(self) -> str:
        return f"Instruction(0, {LONGEST})"


_SPACE = Instruction()


def check_instruction(task: str, instruction: Any) -> None:
    """Raises BadInput unless it is a text that an observation can hold."""
    if not _SPACE.contains(instruction):
        found = f"{len(instruction)} characters" if isinstance(instruction, str) and len(instruction) > LONGEST else f"{instruction!r:.60}"
        raise BadInput(f"task={task}: instruction: needs a text of at most {LONGEST} characters, without zero bytes and lone surrogates, found {found}")


class SharedTexts(Sequence[str]):
    """What is in a shared memory now: an item a process. A copy is a tuple of what was there then."""

    def __init__(self, points: np.ndarray) -> None:
        self._points = points  # (n, LONGEST) int32: code points, zeros after the last

    def __getitem__(self, index: Any) -> Any:
        return tuple(self)[index] if isinstance(index, slice) else _text(self._points[index])

    def __len__(self) -> int:
        return len(self._points)

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return repr(tuple(self))


def _points(text: str) -> np.ndarray:
    """(LONGEST,) int32."""
    points = np.zeros(LONGEST, np.int32)
    points[: len(text)] = [ord(sign) for sign in text]
    return points


def _text(points: np.ndarray) -> str:
    return "".join(map(chr, points[: np.append(np.flatnonzero(points == 0), len(points))[0]].tolist()))


@write_to_shared_memory.register(Instruction)
def _write(space: Instruction, index: int, value: str, shared_memory: Any) -> None:
    np.frombuffer(shared_memory.get_obj(), np.int32).reshape(-1, LONGEST)[index] = _points(value)


@read_from_shared_memory.register(Instruction)
def _read(space: Instruction, shared_memory: Any, n: int = 1) -> Any:
    return SharedTexts(np.frombuffer(shared_memory.get_obj(), np.int32).reshape(n, LONGEST))


@flatten_space.register(Instruction)
def _flatten_space(space: Instruction) -> spaces.Box:
    return spaces.Box(0, LAST_CHARACTER, (LONGEST,), np.int32)


@flatten.register(Instruction)
def _flatten(space: Instruction, x: str) -> np.ndarray:
    return _points(x)


@unflatten.register(Instruction)
def _unflatten(space: Instruction, x: np.ndarray) -> str:
    return _text(np.asarray(x))
