"""Result folders as the entries of a report: found, read, put in order and tested against a baseline."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.results import ROWS, load
from eval.score import Row, compare, holm, pairs
from policy.choices import DEFAULTS, USUAL
from whatwhere.counted import counted
from whatwhere.errors import BadInput, did_you_mean

NAMED = ("head", "streams_used", "language", "join", "fusion")  # what `learned` is told, in its order


@dataclass
class Entry:
    """One result folder in a table."""

    folder: Path
    rows: list[Row]
    results: dict[str, Any]
    p: float | None = None
    p_holm: float | None = None
    difference: dict[str, Any] = field(default_factory=dict)
    same_head: bool = False  # all learned policies of the table have one, which their names need not say

    @property
    def head(self) -> str | None:
        """Of a learned policy; None for others."""
        return None if self.results["encoder"] is None else self.results.get("head") or USUAL["head"]

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self._called(None if self.same_head else self.head)

    @property
    def full_name(self) -> str:
        """Its name in a table with several heads."""
        return self._called(self.head)

    def _called(self, head: str | None) -> str:
        """The encoder of a learned policy, with what else was chosen; otherwise the policy."""
        policy = self.results["policy"] or "learned"
        return learned(self.results["encoder"], head, *(self.results.get(name) for name in NAMED[1:])) if policy == "learned" else str(policy)

    @property
    def task(self) -> str:
        return str(self.results["task"])

    @property
    def group(self) -> tuple[Any, ...]:
        """What entries that are tested against each other have in common: task, number of demonstrations, of how many those were made, and how it is played."""
        texts = ("split", "perturbation", "without", "said", "fault", "fallback")
        numbers = ("num_demos", "multiplied_from", "corrections", "latency", "action_latency")
        told = *(str(self.results.get(name) or "") for name in texts), moves(self.results)
        return self.task, *told, *(self.results.get(name) or 0 for name in numbers)


def moves(results: Mapping[str, Any]) -> str:
    """What moved by itself: `moving 4–8 cm/s`, `moving 4–8 cm/s, trained still`; empty where nothing did."""
    speed, trained = results.get("speed"), results.get("trained_motion")
    kind = results.get("motion") or ("still" if trained else "")
    return kind + (f" {speed[0]:g}–{speed[1]:g} cm/s" if speed else "") + (f", trained {trained}" if trained else "")


def demos(results: Mapping[str, Any]) -> str:
    """How many demonstrations a policy learnt from: `25`, `10 multiplied to 200`, `25 and 25 corrections`; empty where that is not known."""
    plain = " multiplied to ".join(str(count) for name in ("multiplied_from", "num_demos") if (count := results.get(name)))
    return plain + (f" and {counted(count, 'correction')}" if (count := results.get("corrections")) else "")


def learned(
    encoder: object,
    head: str | None = None,
    used: str | None = None,
    language: str | None = None,
    join: str | None = None,
    fusion: str | None = None,
) -> str:
    """What a learned policy is called: `pixelwise`, or `pixelwise+flow`, `pixelwise+film`, `pixelwise (gating)`; `pixelwise:p` if it sees one stream alone."""
    choices = {"head": head, "language": language, "join": join}
    named = [choice for name, choice in choices.items() if choice not in (None, DEFAULTS[name])]
    return "+".join([str(encoder), *named]) + (f" ({fusion})" if fusion else "") + ("" if used in (None, "both") else f":{used}")


def find(folders: str | Sequence[str]) -> list[Path]:
    """Result folders among names of folders, of folders that hold them at any depth, and glob patterns. Raises BadInput where one gives nothing.

    Links are followed, and a folder that has several names counts once: its episodes were played once.
    """
    found: dict[str, Path] = {}
    for pattern in [folders] if isinstance(folders, str) else folders:
        inside = sorted(path for match in matches(pattern) for path in _below(match))
        if not inside:
            raise BadInput(f"folders={pattern}: no result folder there (none holds {ROWS})")
        for path in inside:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _below(folder: str) -> Iterator[Path]:
    """Result folders in a folder, itself among them; a link that leads into a folder again is not followed twice."""
    seen: set[str] = set()
    for place, names, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            names.clear()
            continue
        seen.add(real)
        if ROWS in files:
            yield Path(place)


def matches(pattern: str) -> list[str]:
    """What a glob pattern finds; a name that is there stands for itself, whatever signs are in it."""
    return [pattern] if os.path.lexists(pattern) else glob.glob(pattern, recursive=True)


def collect(folders: Iterable[str | Path], baseline: str | None = None) -> list[Entry]:
    """Entries ordered by task, perturbation and number of demonstrations, best first.

    Each is tested against the `baseline` (an encoder, encoder+head, policy or folder name) of its own task and conditions, where there is one.
    """
    entries = [Entry(Path(folder), *load(folder)) for folder in folders]
    heads = {entry.head for entry in entries} - {None}
    for entry in entries:
        entry.same_head = len(heads) == 1
    entries.sort(key=_place)
    if baseline is None:
        return entries
    names = [name for entry in entries for name in _names(entry)]
    if baseline not in names:
        raise BadInput(f"baseline={baseline}: not among the folders; there are {', '.join(dict.fromkeys(names))}{did_you_mean(baseline, names)}")
    for group in dict.fromkeys(entry.group for entry in entries):
        _test([entry for entry in entries if entry.group == group], baseline)
    return entries


def _place(entry: Entry) -> tuple[Any, ...]:
    """Where an entry stands. It depends on what the entry is alone, and not on the order of folders, so that the same results always make the same file."""
    results = entry.results
    streams, seed = results.get("streams") or "", -1 if results["train_seed"] is None else results["train_seed"]
    return entry.group, -results["success"]["rate"], entry.name, streams, seed, results["seed"], entry.folder.name


def _names(entry: Entry) -> tuple[str, str, str]:
    """Each can be given as `baseline=`."""
    return entry.name, entry.full_name, entry.folder.name


def _test(entries: list[Entry], baseline: str) -> None:
    """McNemar of each entry of one group against the baseline of the same training seed (or the only one), over the same streams if there is one; then Holm."""
    bases = [entry for entry in entries if baseline in _names(entry)]
    tested = []
    for entry in entries:
        same = [base for base in bases if len(bases) == 1 or base.results["train_seed"] == entry.results["train_seed"]]
        base = sorted(same, key=lambda base: base.results.get("streams") != entry.results.get("streams"))[:1]
        paired = pairs(entry.rows, base[0].rows) if base and entry not in bases else []
        if paired:
            entry.difference = compare(paired)
            entry.p = entry.difference["success"]["mcnemar_p"]
            tested.append(entry)
    for entry, p in zip(tested, holm([entry.p for entry in tested if entry.p is not None]), strict=True):
        entry.p_holm = p
