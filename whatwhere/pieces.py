"""Text with commas, brackets and quotes: where it is cut, and what its pieces say.

A comma cuts unless it stands in brackets that close, in a piece that is quoted as a whole, or after a backslash. Any other sign is itself.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

CLOSING = {"(": ")", "[": "]", "{": "}"}
QUOTED = re.compile(r"""\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*""", re.DOTALL)


def pieces(text: str) -> list[str]:
    """`text` cut at its commas: `a, b[1,2],'c,d'` → `a`, `b[1,2]`, `'c,d'`. A text without commas is one piece and stays as it is."""
    ends = _brackets(text)
    cuts, piece, at = [], "", 0
    while at < len(text):
        after = max(ends.get(at, at) + 1, _end_of_quoted(text, at) if not piece else 0)
        if text[at] == ",":
            cuts.append(piece)
            piece = ""
        elif text.startswith("\\,", at):
            piece, after = piece + ",", at + 2
        else:
            piece += text[at:after]
        at = after
    return [one.strip() for one in (*cuts, piece)] if cuts else [piece]


def listed(text: str) -> list[str] | None:
    """The elements of a list in brackets, `[A,'b, c']` → `A`, `'b, c'`; None for a text that is no list, such as `[a] b`."""
    inside = text.strip()
    if not inside.startswith("[") or _brackets(inside).get(0) != len(inside) - 1:
        return None
    inside = inside[1:-1].strip()
    return pieces(inside) if inside else []


def unquoted(text: str) -> str:
    """`text` without the quotes around all of it, if there are any; inside them a backslash before such a quote, or before the last one, is taken away."""
    if not QUOTED.fullmatch(text):
        return text
    text = text.strip()
    return re.sub(rf"(\\*)({text[0]}|\Z)", lambda found: found[1][: len(found[1]) // 2] + found[2], text[1:-1])


def quoted(text: str) -> str:
    """The inverse of `unquoted`."""
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text) + "'"


def spelled(key: str, value: Any) -> str:
    """`key=value` such that reading it as the option's type gives `value` again."""
    return f"{key}={_spelled(value)}"


def _spelled(value: Any, in_list: bool = False) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(_spelled(one, in_list=True) for one in value)}]"
    if not isinstance(value, str):
        return str(value)
    unclear = QUOTED.fullmatch(value) or value == "null" or (in_list and (value != value.strip() or not value or set(value) & set(",[](){}'\"\\")))
    return quoted(value) if unclear else value


def _brackets(text: str) -> dict[int, int]:
    """{position of an opening bracket: that of the one that closes it}, for those that close outside of quoted pieces."""
    pairs: dict[int, int] = {}
    opened: list[tuple[int, str]] = []
    waiting = Counter[str]()
    at = 0
    while at < len(text):
        if at == 0 or text[at - 1] in "[,":
            at = _end_of_quoted(text, at)
        sign = text[at : at + 1]
        if sign in CLOSING:
            opened.append((at, CLOSING[sign]))
            waiting[CLOSING[sign]] += 1
        while waiting[sign]:  # whatever was opened after it stays open
            start, closing = opened.pop()
            waiting[closing] -= 1
            if closing == sign:
                pairs[start] = at
                break
        at += 1
    return pairs


def _end_of_quoted(text: str, start: int) -> int:
    """Where the quoted piece that begins at `start` ends; `start` itself if there is none."""
    found = QUOTED.match(text, start)
    return found.end() if found and text[found.end() : found.end() + 1] in ("", ",", "]") else start
