"""`python -m eval.compare A B`: compares two result folders over the same starts: success by an exact McNemar test, the position
error by a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.reports import tables
from eval.reports.entries import Entry, collect
from eval.reports.evaluations import make_table, p_text
from eval.score import compare, pairs
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath
from whatwhere.options import options


@options
class Settings:
    a: InputPath | None
    b: InputPath | None

    def __post_init__(self) -> None:
        if self.a is None or self.b is None:
            raise BadInput("needs two result folders: python -m eval.compare A B")


def paired(a: Entry, b: Entry) -> dict[str, Any]:
    """The comparison of `eval.score.compare` over the common starts. Raises BadInput unless task and version agree and there are common starts."""
    for key in ("task", "version"):
        found = [sorted({str(row[key]) for row in entry.rows}) for entry in (a, b)]
        if found[0] != found[1]:
            raise BadInput(f"{a.folder}, {b.folder}: of different {key}s ({', '.join(found[0])} and {', '.join(found[1])}), which share no starts")
    common = pairs(a.rows, b.rows)
    if not common:
        seeds = [sorted({row["seed"] for row in entry.rows}) for entry in (a, b)]
        raise BadInput(f"{a.folder}, {b.folder}: no start in common (seeds {seeds[0]} and {seeds[1]}); run both with the same seed= and episodes=")
    return compare(common)


def describe(a: Entry, b: Entry, result: dict[str, Any]) -> str:
    """The comparison in words, a line a measure."""
    success, error = result["success"], result["position_error_cm"]
    p = p_text(success["mcnemar_p"])
    p = p.replace("<", "< ") if p.startswith("<") else f"= {p}"
    lines = [
        f"A = {a.folder}   B = {b.folder}   {result['starts']} common starts (A has {len(a.rows)}, B {len(b.rows)})",
        f"success: A {100 * success['a']:.1f} %, B {100 * success['b']:.1f} %; A − B {_signed(100 * success['difference'], 1)} points "
        f"{_interval(success['ci95'], 100, 1)} (Newcombe, paired)",
        f"         only A succeeded {success['only_a']} times, only B {success['only_b']}; exact McNemar p {p}",
    ]
    if error["starts"]:
        for name in ("median", "mean"):
            value, interval = error[f"{name}_difference"], error[f"{name}_ci95"]
            lines.append(
                f"position error, {name} of A − B: {_signed(value, 2)} cm {_interval(interval, 1, 2)} (paired bootstrap, {counted(error['starts'], 'start')})"
            )
    else:
        lines.append("position error: none recorded for common starts")
    return "\n".join(lines)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _interval(limits: Sequence[float], scale: float, digits: int) -> str:
    return f"[{_signed(scale * limits[0], digits)}, {_signed(scale * limits[1], digits)}]"


def main(settings: Settings) -> None:
    folders = (str(settings.a), str(settings.b))
    a, b = (collect([folder])[0] for folder in folders)
    result = paired(a, b)
    print(tables.terminal(make_table([a, b])))
    print()
    print(describe(a, b, result))


if __name__ == "__main__":
    command("eval.conf", "compare", Settings, main, bare=("a", "b"))
