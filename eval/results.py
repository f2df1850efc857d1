"""A result folder: `episodes.jsonl` (a row an episode, written as it ends) and `results.json` (what the rows add up to)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from os.path import lexists
from pathlib import Path
from typing import Any

from eval.fallbacks import fallbacks, told
from eval.score import Row, score
from whatwhere.counted import counted
from whatwhere.errors import BadInput, Failed, shown
from whatwhere.files import append_row, read_json, read_rows, write_json, write_text

ROWS, RESULTS = "episodes.jsonl", "results.json"

# What every row has. Subscribers of the rollout add more (freezes, …); readers ignore what they do not know.
ROW_KEYS = (
    "task", "version", "policy", "encoder", "checkpoint", "train_seed", "seed", "episode", "init_hash", "success", "failure",
    "position_error_cm", "is_relation_correct", "steps", "wall_s", "video",
)  # fmt: skip
WHOSE = ("task", "version", "policy", "encoder", "checkpoint", "train_seed")  # the same in all rows of a folder
SELDOM = (
    "split", "corrections", "latency", "action_latency", "trained_for", "history", "fusion", "memory", "streams_used", "without", "said", "motion", "speed",
    "trained_motion", "actions_from", "goal", "fault", "fallback",
)  # fmt: skip
# rows have those that apply, and results those of SELDOM
CONDITIONS = ("head", "language", "join", "num_demos", "multiplied_from", "streams", "perturbation", *SELDOM)


def add_row(folder: str | Path, row: Row) -> None:
    """Adds a finished episode, synced to disk."""
    append_row(Path(folder) / ROWS, row)


def load_rows(folder: str | Path) -> list[Row]:
    """The rows of a folder in order of seed and episode; of two rows of one episode the later counts; none if nothing was run there.

    Raises BadInput if one is no row of an episode.
    """
    from eval.records import Episode  # where a file is read, not where a command starts

    path = Path(folder) / ROWS
    rows: dict[tuple[int, int], Row] = {}
    for row in read_rows(path, Episode):
        rows[row["seed"], row["episode"]] = row
    return [rows[key] for key in sorted(rows)]


def finish(folder: str | Path, about: dict[str, Any], episodes: Iterable[int]) -> dict[str, Any]:
    """Puts the rows in order and writes `results.json`: `about` (task, encoder, checkpoint, sha256, …) and their score. Returns it.

    Raises Failed unless each of `episodes` has its row: a score of fewer would be told as if it were of all.
    """
    rows = load_rows(folder)
    missing = sorted(set(episodes) - {row["episode"] for row in rows})
    if missing:
        others = f" and {counted(len(missing) - 1, 'other')}" if missing[1:] else ""
        raise Failed(f"{Path(folder) / ROWS}: has no row of episode {missing[0]}{others}: not scored")
    write_text(Path(folder) / ROWS, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))
    results = summary(rows, about)
    write_json(Path(folder) / RESULTS, results)
    return results


def summary(rows: Sequence[Row], about: dict[str, Any]) -> dict[str, Any]:
    """The value of `results.json`: who was evaluated, the score, then versions and the command."""
    head = {key: about.get(key) for key in ("task", "policy", "encoder", "checkpoint", "sha256", "train_seed", *CONDITIONS, "execute", "seed")}
    head = {key: value for key, value in head.items() if value is not None or key not in SELDOM}
    ways = sorted({row["inference"] for row in rows if row.get("inference")})
    head |= {"inference": ", ".join(ways)} if ways else {}  # earlier versions had one way, plain
    head |= {"queries": "batched"} if any(row.get("queries") == "batched" for row in rows) else {}
    head |= {"fallbacks": fell} if (fell := fallbacks(rows)) else {}
    tail = {key: about.get(key) for key in ("versions", "command")}
    return {**head, **score(rows), **tail}


def load(folder: str | Path) -> tuple[list[Row], dict[str, Any]]:
    """Rows and results of a folder, the results counted afresh from the rows. Raises BadInput if there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; give a folder that eval.run wrote")
    rows = load_rows(folder)
    if not rows:
        raise BadInput(f"{folder}: no {ROWS} with rows in it; give a folder that eval.run wrote")
    path = folder / RESULTS
    about = read_about(path) if lexists(path) else {key: rows[0].get(key) for key in (*ROW_KEYS, *CONDITIONS)}  # an interrupted run has rows only
    _check_alike(folder, rows, about)
    return rows, summary(rows, about)


def _check_alike(folder: Path, rows: Sequence[Row], about: dict[str, Any]) -> None:
    """Raises BadInput for rows of several policies or tasks, whose score would be of none of them, and where `results.json` is of others than the rows."""
    for key in WHOSE:
        first = next((row for row in rows if row.get(key) is not None), None)
        if first is None:
            continue
        if other := next((row for row in rows if row.get(key) not in (None, first[key])), None):
            both = " and ".join(f"{key}={shown(row[key])} (episode {row['episode']})" for row in (first, other))
            raise BadInput(f"{folder / ROWS}: has rows of {both}; rows of one folder are of one policy and task: keep them in folders of their own")
        if about.get(key) not in (None, first[key]):
            raise BadInput(f"{folder / RESULTS}: {key}={shown(about[key])}, but its rows say {shown(first[key])}; the two files are of different evaluations")


def read_about(path: Path) -> dict[str, Any]:
    """A `results.json` or `settings.json`. Raises BadInput."""
    from eval.records import About

    return read_json(path, About)


def unfinished(folder: str | Path, rows: Sequence[Row]) -> str | None:
    """`2 of 3 episodes`, where a folder was to hold more of them than it has rows; None where it is whole, or does not say."""
    told = [read_about(path) for name in ("settings.json", RESULTS) if (path := Path(folder) / name).exists()]
    most = max((one.get("episodes", 0) for one in told), default=0)
    return f"{len(rows)} of {counted(most, 'episode')}" if len(rows) < most else None


def last_line(results: dict[str, Any]) -> str:
    """`success 0.940 [0.875, 0.972] · position error 0.62 cm (median) · 100 episodes`"""
    success, median = results["success"], results["position_error_cm"]["median"]
    error = "none" if median is None else f"{median:.2f} cm (median)"
    rate = "none" if success["rate"] is None else f"{success['rate']:.3f}"
    return f"success {rate} [{success['ci95'][0]:.3f}, {success['ci95'][1]:.3f}] · position error {error} · {counted(results['episodes'], 'episode')}"


def table(results: dict[str, Any]) -> str:
    """The score for a terminal, a line a measure, no wider than the terminal."""
    error, success = results["position_error_cm"], results["success"]
    lines = [("success", f"{_percent(success['rate'])} [{_percent(success['ci95'][0])}, {_percent(success['ci95'][1])}] (Wilson 95 %)")]
    if error["median"] is not None:
        lines += [
            ("position error", f"median {error['median']:.2f} cm [{error['ci95'][0]:.2f}, {error['ci95'][1]:.2f}] (bootstrap 95 %), p90 {error['p90']:.2f} cm"),
            ("within", ", ".join(f"{limit} cm {_percent(rate)}" for limit, rate in error["within_cm"].items())),
        ]
    if results["relation_rate"] is not None:
        lines.append(("relation right", _percent(results["relation_rate"])))
    if results["freeze_rate"] is not None:
        lines.append(("stalled ≥ 1 s", f"in {_percent(results['freeze_rate'])} of episodes"))
    if results["failures"]:
        lines.append(("ended early", ", ".join(f"{reason} {count}" for reason, count in results["failures"].items())))
    if results.get("fallbacks"):
        lines.append(("fallback", told(results["fallbacks"])))
    width = min(shutil.get_terminal_size((120, 24)).columns, 160)
    return "\n".join(f"  {name:<18}{text}"[:width] for name, text in lines)


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{100 * rate:.1f} %"
