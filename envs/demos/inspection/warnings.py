"""What somebody ought to look at before training on demonstrations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

from envs.demos.inspection.summary import Summary
from envs.seeds import DEMONSTRATIONS
from whatwhere.counted import counted

SPAN_S = 0.5  # spans of less are nothing unusual
SATURATED = 0.3
LONG = 3.0  # times the median length
ALIKE = (
    "task",
    "task_version",
    "split",
    "rendering",
    "size",
    "cameras",
    "frame_gap",
    "control_hz",
    "horizon",
    "source",
    "noise",
    "env_name",
    "proprio",
    "control",
)


def warnings(summaries: Sequence[Summary]) -> list[str]:
    """A line each; none if nothing is odd."""
    return [*control(summaries), *mixed(summaries), *starts(summaries), *lengths(summaries), *spans(summaries), *saturation(summaries)]


def control(summaries: Sequence[Summary]) -> list[str]:
    """Actions that are something else than this package's, and demonstrations that belong to no task."""
    found = Counter(str(s.settings["control_problem"]) for s in summaries if "control_problem" in s.settings)
    lines = [f"not to be learnt from: {problem}, in {count}: convert refuses them" for problem, count in found.items()]
    homeless = Counter(str(s.settings["no_environment"]) for s in summaries if "no_environment" in s.settings)
    return [*lines, *(f"no environment here fits {count} of them, so eval.run cannot score what is learnt from them: {why}" for why, count in homeless.items())]


def mixed(summaries: Sequence[Summary]) -> list[str]:
    """Settings that ought to be the same in all."""
    lines = []
    flat = [{**{key: s.settings.get(key) for key in ALIKE}, **{f"version of {k}": v for k, v in s.settings["versions"].items()}} for s in summaries]
    for key in dict.fromkeys(key for settings in flat for key in settings):
        values = Counter(json.dumps(settings.get(key)) for settings in flat)
        if len(values) > 1:
            lines.append(f"mixed {key}: " + ", ".join(f"{value} in {count}" for value, count in values.most_common(5)))
    instructions = Counter(s.instruction for s in summaries)
    if len(instructions) > 20:
        lines.append(f"{len(instructions)} different instructions")
    return lines


def starts(summaries: Sequence[Summary]) -> list[str]:
    lines = []
    known: dict[str, str] = {}
    for summary in summaries:
        digest, seed = summary.settings["init_hash"], summary.settings["seed"]
        if digest is not None and known.setdefault(digest, summary.name) != summary.name:
            lines.append(f"{summary.name}: begins where {known[digest]} begins: the same start twice")
        if seed is not None and seed not in DEMONSTRATIONS:
            lines.append(f"{summary.name}: seed {seed} is not one for demonstrations (0–{DEMONSTRATIONS[-1]}): evaluation on it would be on training data")
    if failed := [summary.name for summary in summaries if not summary.success]:
        lines.append(f"{len(failed)} without success: {_some(failed)}")
    return lines


def lengths(summaries: Sequence[Summary]) -> list[str]:
    median = float(np.median([summary.steps for summary in summaries]))
    return [f"{s.name}: {s.steps} steps, more than {LONG:g} times the median ({median:g})" for s in summaries if s.steps > LONG * median]


def spans(summaries: Sequence[Summary]) -> list[str]:
    lines = []
    for summary in summaries:
        least = SPAN_S * summary.settings["control_hz"]
        if summary.idle and summary.idle[1] >= least:
            lines.append(f"{summary.name}: idle for {counted(summary.idle[1], 'step')} from step {summary.idle[0]}: a policy may learn to stop there")
        for camera, (first, count) in summary.frozen.items():
            if count >= least:
                lines.append(
                    f"{summary.name}: {camera} shows the same picture for {counted(count, 'step')} from step {first} while the robot is commanded to move"
                )
    return lines


def saturation(summaries: Sequence[Summary]) -> list[str]:
    if len({len(summary.saturated) for summary in summaries}) > 1:
        return ["mixed numbers of actions"]
    weights = np.array([summary.steps for summary in summaries], float)
    share = np.average([summary.saturated for summary in summaries], axis=0, weights=weights)
    binary = np.all([summary.is_binary for summary in summaries], axis=0)
    return [f"action {i}: {share[i]:.0%} of steps at the end of its range" for i in range(len(share)) if share[i] > SATURATED and not binary[i]]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
