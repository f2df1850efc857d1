"""Damage, drawn from a generator: to bytes, to JSON, to files as such, to words of a command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator


def pick(rng: Rng, things: Any) -> Any:
    return things[int(rng.integers(len(things)))]


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


# As JSON text, so that what Python's writer refuses can stand in a file, too.
VALUES = (
    "null", "true", "false", "0", "-1", "1", "7", "-0.0", "0.5", "1e30", "1e308", "-1e308", "1e999", "NaN", "Infinity", "-Infinity", "9223372036854775808",
    "1" * 5000, '""', '"x"', '"0"', '"nan"', '"\\ud800"', '"\\u0000"', '"a\\nb"', '"../../../etc/passwd"', '"/dev/zero"', '"/etc/passwd"', '"é ☃ 漢"',
    '"' + "y" * 20000 + '"', "[]", "{}", "[[]]", '{"a": {"b": [1]}}', "[null]", '["a", "b"]', "[1, 2, 3]", "[" + "0, " * 50000 + "0]", '{"a": 1, "a": 2}',
    nested(100), nested(50_000), "100000", "1000000000", "100000000000", "2147483648", "-2147483649", "1e9", "1.0",
)  # fmt: skip
DOCUMENTS = ("", " ", "{", "[]", "null", "0", '"x"', "{}", "\ufeff{}", '{"a": 1}{"b": 2}', nested(200_000), "//", "{'a': 1}", '{"\\ud800": 1}', "\x00" * 64)


def damaged_bytes(whole: bytes, rng: Rng) -> bytes:
    """Some of its bits flipped, a piece cut off, overwritten, doubled, taken out, put in."""
    data = bytearray(whole)
    at = int(rng.integers(len(data) + 1))
    size = int(min(len(data), 2 ** rng.integers(0, 12)))
    match int(rng.integers(8)):
        case 0 | 1:
            for place in rng.integers(0, max(1, len(data)), int(rng.integers(1, 9))):
                if data:
                    data[place] ^= 1 << int(rng.integers(8))
        case 2:
            del data[at:]
        case 3:
            data[at : at + size] = rng.bytes(size)
        case 4:
            data[at : at + size] = bytes(len(data[at : at + size]))
        case 5:
            data[at:at] = data[at : at + size] or b"x"
        case 6:
            del data[at : at + size]
        case _:
            if rng.random() < 0.3:
                return rng.bytes(size)
            near = int(rng.integers(min(2048, len(data) + 1)))  # headers stand at the beginning
            data[near : near + 8] = b"\xff" * len(data[near : near + 8])
    return bytes(data)


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, as keys and numbers."""
    found = [here] if here else []
    inside = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for key, part in inside:
        found += places(part, (*here, key))
    return found


def damaged_json(text: str, rng: Rng) -> str:
    """One value of it replaced, taken out, or given a second time; now and then another document altogether."""
    if rng.random() < 0.08:
        return pick(rng, DOCUMENTS)
    value = json.loads(text)
    where = places(value)
    if not where:
        return pick(rng, VALUES)
    shallow = [place for place in where if len(place) <= 2]
    place = pick(rng, shallow if rng.random() < 0.6 else where)
    parent = value
    for key in place[:-1]:
        parent = parent[key]
    mark = "\x01here\x01"
    draw = rng.random()
    if draw < 0.12:
        del parent[place[-1]]
        return json.dumps(value)
    if draw < 0.2 and isinstance(parent, dict):
        parent["strange"] = mark
    else:
        parent[place[-1]] = mark
    return json.dumps(value).replace(json.dumps(mark), pick(rng, VALUES))


def damaged_lines(text: str, rng: Rng) -> str:
    """One line of JSON lines damaged, doubled, or taken out."""
    lines = text.splitlines()
    at = int(rng.integers(len(lines)))
    draw = rng.random()
    if draw < 0.1:
        lines.insert(at, lines[at])
    elif draw < 0.2:
        del lines[at]
    else:
        lines[at] = damaged_json(lines[at], rng)
    return "\n".join(lines) + "\n"


def strange_file(path: Path, rng: Rng) -> None:
    """Something that is no regular file, or no such file at all, in its place."""
    path.unlink()
    makers: list[Callable[[], object]] = [
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to(path.name),
        lambda: path.symlink_to("/proc/self/mem"),
        lambda: path.symlink_to("nowhere"),
        path.mkdir,
        lambda: _sparse(path),
        path.touch,
        lambda: None,
    ]
    pick(rng, makers)()


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def damage(path: Path, rng: Rng) -> str:
    """Damages a file in place, by its kind; returns how."""
    if rng.random() < 0.06:
        strange_file(path, rng)
        return "strange file"
    if path.suffix in (".json", ".jsonl") and rng.random() < 0.85:
        change = damaged_lines if path.suffix == ".jsonl" else damaged_json
        text = change(path.read_text(encoding="utf-8"), rng)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return "JSON"
    path.write_bytes(damaged_bytes(path.read_bytes(), rng))
    return "bytes"


WORDS = (
    "", "null", "true", "0", "-1", "1e9", "1000000000", "99999999999999999999999", "1e999", "nan", "inf", "-inf", "0.5", "x", "[]", "[a,b]", "[1,2]", "{}",
    "{a:1}", "[[", "'", '"', "a=b", "démos", "a b", " ", "/dev/null", "/dev/zero", "/proc/self/mem", "/sys/kernel", "/dev/null/x", "a" * 300, "a/" * 3000,
    "z" * 50_000, "~/x", "${x}", "${oc.env:HOME}", "???", "a,b", "1..2", "choice(a,b)", "range(1,9)", "\n", "\t", "🤖", "meta", "cuda:99", "cuda", "\udcff",
    "pick_at_xy", "robosuite/Lift", "robosuite/Nothing", "os:system", "no.such:Class",
)  # fmt: skip
FLAGS = (
    "-m", "--help", "-h", "--cfg", "--cfg=zzz", "--config-dir", "--config-dir=/nope", "--experimental-rerun=x", "--info", "--info=zzz", "--package",
    "--hydra-help", "--version", "--resolve", "-x", "--", "-",
)  # fmt: skip


def strange_words(options: list[str], rng: Rng) -> list[str]:
    """One to three words for a command with these options: strange values, misspelt options, flags, Hydra's own grammar."""
    words = []
    for _ in range(int(rng.integers(1, 4))):
        draw = rng.random()
        if draw < 0.75:
            words.append(f"{pick(rng, options)}={pick(rng, WORDS)}")
        elif draw < 0.85:
            words.append(pick(rng, FLAGS))
        elif draw < 0.93:
            words.append(pick(rng, ("+", "++", "~", "hydra.", "", "=")) + pick(rng, options) + pick(rng, ("", "=1", "s=1", ".a=1", "@b=1", "/c=1")))
        else:
            words.append(pick(rng, WORDS))
    return words
