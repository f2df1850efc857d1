"""Statistics against scipy and published values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from eval.score import bootstrap, compare, holm, mcnemar, paired_difference, pairs, score, two_way_bootstrap, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (0, 20), (1, 29), (15, 148), (81, 263), (94, 100), (50, 50)])
def test_wilson_is_scipys(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_newcombes_table():
    """Newcombe 1998 (Statistics in Medicine 17:857), Table I, method 3."""
    for (successes, n), expected in {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}.items():
        assert wilson(successes, n) == pytest.approx(expected, abs=5e-5)


def test_wilson_without_trials():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 7), (7, 1), (5, 5), (0, 6), (59, 6), (200, 160)])
def test_mcnemar_is_the_binomial_test(only_a, only_b):
    n = only_a + only_b
    expected = stats.binomtest(only_a, n, 0.5).pvalue if n else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_published():
    """Fagerland, Lydersen and Laake 2013 (BMC Med Res Methodol 13:91): airway hyper-responsiveness, exact conditional p = 0.070."""
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)


def test_paired_difference_published():
    """The Newcombe interval of the same data, and of Table 6.2 of Altman et al. 2000, Statistics with Confidence."""
    assert paired_difference(1, 1, 7, 12) == pytest.approx((-0.507, -0.026), abs=5e-4)
    assert paired_difference(14, 5, 0, 22) == pytest.approx((0.011, 0.226), abs=5e-4)


def test_paired_difference_is_antisymmetric_and_bounded():
    low, high = paired_difference(30, 9, 4, 7)
    assert paired_difference(30, 4, 9, 7) == pytest.approx((-high, -low))
    assert paired_difference(0, 10, 0, 0)[1] <= 1 + 1e-12
    low, high = paired_difference(50, 0, 0, 0)
    assert low < 0 < high, "no disagreement is not certainty"


def test_paired_difference_covers():
    rng = np.random.default_rng(1)
    truth = np.array([0.5, 0.2, 0.1, 0.2])  # both, only a, only b, neither: a difference of 0.1
    hits = 0
    for _ in range(1000):
        low, high = paired_difference(*rng.multinomial(60, truth))
        hits += low <= 0.1 <= high
    assert 0.93 <= hits / 1000 <= 0.985


def test_bootstrap_repeats_and_agrees_with_scipy():
    values = np.random.default_rng(3).lognormal(size=80)
    ours = bootstrap(values)
    assert ours == bootstrap(values)
    theirs = stats.bootstrap((values,), np.median, method="percentile", n_resamples=10_000).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.05)
    values = np.random.default_rng(4).normal(size=80)
    mean = bootstrap(values, np.mean)
    assert mean == pytest.approx(stats.norm.interval(0.95, values.mean(), values.std() / 80**0.5), abs=0.02)
    assert bootstrap([2.0]) == (2.0, 2.0)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap([])


def test_two_way_bootstrap_sees_trainings_and_starts():
    rng = np.random.default_rng(0)
    starts = rng.random(100) < 0.7
    assert two_way_bootstrap([starts]) == pytest.approx(bootstrap(starts, np.mean), abs=0.011), "one training: starts alone"
    alone = two_way_bootstrap(np.repeat([[0.5], [0.7], [0.9]], 100, axis=1))
    assert alone == pytest.approx((0.5, 0.9), abs=1e-9), "starts that are all alike: trainings alone"
    differing = rng.random((3, 100)) < np.array([[0.5], [0.7], [0.9]])
    low, high = two_way_bootstrap(differing)
    assert high - low > 2 * (two_way_bootstrap([starts])[1] - two_way_bootstrap([starts])[0]) * 0.9, "wider than over starts where trainings differ"
    assert two_way_bootstrap([starts, starts], [starts]) == (0.0, 0.0), "the same starts are drawn for both sides"
    with pytest.raises(ValueError, match="same starts"):
        two_way_bootstrap([[1.0, 0.0]], [[1.0]])


def test_two_way_bootstrap_covers():
    """Where trainings differ, three of them cannot promise 95 %, but nearly: resampling starts alone holds the true mean far less often."""
    rng = np.random.default_rng(1)
    held = held_by_starts = 0
    for _ in range(100):
        rates = np.clip(0.6 + 0.1 * rng.standard_normal((3, 1)) + 0.1 * rng.standard_normal((1, 100)), 0, 1)
        wins = rng.random((3, 100)) < rates
        low, high = two_way_bootstrap(wins, resamples=500)
        held += low <= 0.6 <= high
        low, high = two_way_bootstrap(wins.mean(axis=0, keepdims=True), resamples=500)
        held_by_starts += low <= 0.6 <= high
    assert held >= 85
    assert held_by_starts <= 70


def test_holm():
    """The example of R's p.adjust(method="holm"): steps are monotone, ties share, nothing exceeds 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def row(episode, success, error, **more):
    start = {"task": "t", "version": "0", "seed": 1, "episode": episode, "init_hash": f"{episode:016x}"}
    return {**start, "success": success, "position_error_cm": error, "failure": None, "is_relation_correct": None, "freezes": 0, **more}


def test_score():
    rows = [row(0, True, 0.2), row(1, True, 0.8), row(2, False, 4.0, freezes=2), row(3, False, None, failure="worker_killed", freezes=None)]
    result = score(rows)
    assert result["episodes"] == 4
    assert result["success"]["rate"] == 0.5
    error = result["position_error_cm"]
    assert error["median"] == 0.8
    assert error["p90"] == pytest.approx(np.percentile([0.2, 0.8, 4.0], 90))
    assert error["within_cm"] == {"0.5": 0.25, "1": 0.5, "2": 0.5, "5": 0.75}, "an episode without an error counts as not within"
    assert result["relation_rate"] is None
    assert result["freeze_rate"] == pytest.approx(1 / 3)
    assert result["failures"] == {"worker_killed": 1}


def test_score_of_relations():
    rows = [row(0, True, 0.1, is_relation_correct=True), row(1, False, 9.0, is_relation_correct=True), row(2, False, 9.0, is_relation_correct=False)]
    assert score(rows)["relation_rate"] == pytest.approx(2 / 3)


def test_pairs_need_the_same_start():
    a = [row(0, True, 1.0), row(1, True, 1.0), row(2, True, 1.0), row(3, True, 1.0, init_hash=None)]
    b = [row(1, False, 2.0), row(2, False, 2.0, init_hash="other"), row(0, False, 2.0, version="1"), row(3, False, 1.0, init_hash=None)]
    assert pairs(a, b) == [(a[1], b[0])]


def test_compare():
    a = [row(i, i < 8, 1.0 + 0.01 * i) for i in range(10)]
    b = [row(i, i < 2, 3.0) for i in range(10)]
    result = compare(pairs(a, b))
    assert result["starts"] == 10
    assert (result["success"]["only_a"], result["success"]["only_b"]) == (6, 0)
    assert result["success"]["difference"] == pytest.approx(0.6)
    assert result["success"]["mcnemar_p"] == pytest.approx(2 * 0.5**6)
    low, high = result["position_error_cm"]["median_ci95"]
    assert low <= result["position_error_cm"]["median_difference"] <= high < 0
    assert result["position_error_cm"]["mean_difference"] == pytest.approx(-1.955)
    with pytest.raises(ValueError, match="common"):
        compare([])
