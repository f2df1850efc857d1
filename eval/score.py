"""Rates, intervals and paired tests, computed from rows (one row an episode, see `eval.results`). Pure functions of numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Row = dict[str, Any]
Interval = tuple[float, float]

Z95 = 1.959963984540054  # the 97.5 % point of the standard normal
RESAMPLES = 10_000
BOOTSTRAP_SEED = 0
WITHIN_CM = ("0.5", "1", "2", "5")


def wilson(successes: int, n: int, z: float = Z95) -> Interval:
    """Wilson's score interval of a rate (Wilson 1927), without continuity correction. (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)  # exactly 0 and 1 at the ends, where rounding would leave 1e-17
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def bootstrap(values: ArrayLike, statistic: Callable[..., Any] = np.median, resamples: int = RESAMPLES, seed: int = BOOTSTRAP_SEED) -> Interval:
    """Percentile bootstrap interval (95 %) of a statistic of `values` (n,), resampling episodes. The seed is fixed, so the same rows give the same interval.

    `statistic(samples (r, n), axis=1) -> (r,)` is a numpy reduction such as np.median or np.mean.
    """
    data = np.asarray(values, np.float64)
    if data.size == 0:
        raise ValueError("a bootstrap interval needs at least one value")
    rng = np.random.Generator(np.random.PCG64(seed))
    parts = []
    for start in range(0, resamples, 1000):  # in parts, to bound memory at 1000 × n
        picks = rng.integers(0, data.size, size=(min(1000, resamples - start), data.size))
        parts.append(statistic(data[picks], axis=1))
    low, high = np.percentile(np.concatenate(parts), [2.5, 97.5])
    return float(low), float(high)


def two_way_bootstrap(a: ArrayLike, b: ArrayLike | None = None, resamples: int = RESAMPLES, seed: int = BOOTSTRAP_SEED) -> Interval:
    """Percentile interval (95 %) of the mean of `a` (trainings, starts), or of mean(a) - mean(b) over the same starts.

    Trainings and starts are resampled independently (Owen 2007, "The pigeonhole bootstrap"), the starts of a and b together.
    Raises ValueError if there is nothing to resample or the numbers of starts differ.
    """
    sides = [np.asarray(side, np.float64) for side in (a, b) if side is not None]
    if any(side.ndim != 2 or side.size == 0 or side.shape[1] != sides[0].shape[1] for side in sides):
        raise ValueError(f"needs (trainings, starts) of the same starts, not {[side.shape for side in sides]}")
    rng = np.random.Generator(np.random.PCG64(seed))
    n = sides[0].shape[1]
    starts = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    means = [((rng.multinomial(len(side), np.full(len(side), 1 / len(side)), size=resamples) / len(side)) @ side * starts).sum(axis=1) for side in sides]
    low, high = np.percentile(means[0] - means[1] if len(means) == 2 else means[0], [2.5, 97.5])
    return float(low), float(high)


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided McNemar test (binomial): p of seeing pairs this lopsided if A and B succeed equally often.

    `only_a` and `only_b` count the starts where only A, only B succeeded; the others say nothing about the difference.
    """
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / 2**n)


def paired_difference(both: int, only_a: int, only_b: int, neither: int, z: float = Z95) -> Interval:
    """Interval (95 %) of rate(A) - rate(B) over the same starts: Newcombe's square-and-add of Wilson limits (Newcombe 1998, method 10)."""
    n = both + only_a + only_b + neither
    rate_a, rate_b = (both + only_a) / n, (both + only_b) / n
    (low_a, high_a), (low_b, high_b) = wilson(both + only_a, n, z), wilson(both + only_b, n, z)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    phi = 0.0
    if margins > 0:
        cross = both * neither - only_a * only_b
        phi = (max(cross - n / 2, 0) if cross > 0 else cross) / math.sqrt(margins)  # Newcombe's continuity correction of a positive correlation
    down, up = (rate_a - low_a, high_b - rate_b), (high_a - rate_a, rate_b - low_b)
    half_low = math.sqrt(max(0.0, down[0] ** 2 - 2 * phi * down[0] * down[1] + down[1] ** 2))
    half_high = math.sqrt(max(0.0, up[0] ** 2 - 2 * phi * up[0] * up[1] + up[1] ** 2))
    return rate_a - rate_b - half_low, rate_a - rate_b + half_high


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def score(rows: Sequence[Row]) -> dict[str, Any]:
    """What `results.json` says of the rows. Rates are over all episodes; centimetres over those that have one (a lost worker's has none).

    An episode without a position error counts as not within any distance; where none has one (a task that defines none) there is no such rate.
    Keys without data are None.
    """
    n = len(rows)
    wins = sum(bool(row["success"]) for row in rows)
    errors = [float(row["position_error_cm"]) for row in rows if row["position_error_cm"] is not None]
    relations = [bool(row["is_relation_correct"]) for row in rows if row.get("is_relation_correct") is not None]
    freezes = [bool(row["freezes"]) for row in rows if row.get("freezes") is not None]
    return {
        "episodes": n,
        "success": {"rate": _rate(wins, n), "ci95": list(wilson(wins, n))},
        "position_error_cm": {
            "median": float(np.median(errors)) if errors else None,
            "p90": float(np.percentile(errors, 90)) if errors else None,
            "ci95": list(bootstrap(errors)) if errors else None,
            "within_cm": {limit: _rate(sum(error <= float(limit) for error in errors), n) if errors else None for limit in WITHIN_CM},
        },
        "relation_rate": _rate(sum(relations), len(relations)),
        "freeze_rate": _rate(sum(freezes), len(freezes)),
        "failures": dict(sorted(Counter(row["failure"] for row in rows if row.get("failure")).items())),
    }


def _rate(count: int, n: int) -> float | None:
    return count / n if n else None


PAIR_KEYS = ("task", "version", "seed", "episode", "init_hash")


def pairs(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> list[tuple[Row, Row]]:
    """The rows of A and of B that began at the same start (task, version, seed, episode and start hash), in A's order."""
    by_start = by_starts(rows_b)
    return [(row, by_start[start]) for start, row in by_starts(rows_a).items() if start in by_start]


def by_starts(rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
    """Rows by what says where they began (`PAIR_KEYS`), in their order; those of lost workers, which have no start hash, are left out."""
    return {tuple(row[key] for key in PAIR_KEYS): row for row in rows if row["init_hash"] is not None}


def compare(paired: Sequence[tuple[Row, Row]]) -> dict[str, Any]:
    """A against B over common starts: success difference with interval and exact McNemar p; paired cm differences (A - B) with bootstrap intervals.

    Raises ValueError if there are no pairs.
    """
    if not paired:
        raise ValueError("no common starts to compare")
    counts = Counter((bool(a["success"]), bool(b["success"])) for a, b in paired)
    both, only_a, only_b, neither = (counts[key] for key in ((True, True), (True, False), (False, True), (False, False)))
    differences = [a["position_error_cm"] - b["position_error_cm"] for a, b in paired if None not in (a["position_error_cm"], b["position_error_cm"])]
    return {
        "starts": len(paired),
        "success": {
            "a": (both + only_a) / len(paired),
            "b": (both + only_b) / len(paired),
            "difference": (only_a - only_b) / len(paired),
            "ci95": list(paired_difference(both, only_a, only_b, neither)),
            "only_a": only_a,
            "only_b": only_b,
            "mcnemar_p": mcnemar(only_a, only_b),
        },
        "position_error_cm": {
            "starts": len(differences),
            "median_difference": float(np.median(differences)) if differences else None,
            "median_ci95": list(bootstrap(differences)) if differences else None,
            "mean_difference": float(np.mean(differences)) if differences else None,
            "mean_ci95": list(bootstrap(differences, np.mean)) if differences else None,
        },
    }
