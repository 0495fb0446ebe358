"""Statistics of claims against SciPy, published tables, and simulated truths."""

import itertools

import numpy as np
import pytest
from scipy import stats

from betagvae.paper.claims.statistics import (
    MOST_SEEDS,
    holm,
    power,
    prediction,
    seeds_needed,
    tails,
)
from betagvae.results.intervals import interval

SEEDS = 5
TRIALS = 2000


def test_tails_are_those_of_scipys_paired_t_test():
    ours, theirs = [3.1, 2.0, 4.4, 2.9, 3.3], [2.0, 2.2, 3.0, 2.4, 2.1]
    found = tails(np.subtract(ours, theirs))
    assert found.above == pytest.approx(stats.ttest_rel(ours, theirs, alternative="greater").pvalue)
    assert found.below == pytest.approx(stats.ttest_rel(ours, theirs, alternative="less").pvalue)


def test_sign_flip_counts_all_signs():
    values = [1.0, 2.0, -0.5, 3.0]
    means = [np.dot(signs, values) for signs in itertools.product((1, -1), repeat=4)]
    expected = np.mean(np.array(means) >= sum(values) - 1e-12)
    assert tails(values).sign_flip == pytest.approx(expected)


def test_five_seeds_that_agree_cannot_pass_an_exact_test_at_95_percent():
    assert tails([1.0, 2.0, 3.0, 4.0, 5.0]).sign_flip == 1 / 2**SEEDS > 0.025


def test_sign_flip_of_many_seeds_is_the_same_every_time():
    values = np.random.default_rng(1).normal(0.3, 1, 20)
    first = tails(values)
    assert tails(values) == first
    assert first.sign_flip == pytest.approx(first.above, abs=0.03)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, then never below the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (-0.5, 34)])
def test_seeds_needed_are_the_published_ones(effect, seeds):
    # Paired t test, two-sided 5 %, power 80 %: the standard tables for d = 0.2, 0.5 and 0.8.
    assert seeds_needed(effect, 1.0, 0.025, 0.8) == seeds


def test_seeds_needed_end_somewhere():
    assert seeds_needed(0.0, 1.0, 0.025, 0.8) is None
    assert seeds_needed(0.08, 1.0, 0.025, 0.8) is None
    assert seeds_needed(1e6, 1.0, 0.025, 0.8) == 2
    assert MOST_SEEDS == 1000


def test_five_seeds_find_what_the_readme_says():
    assert power(1.65, 1.0, SEEDS, 0.025) < 0.8 < power(1.7, 1.0, SEEDS, 0.025)


def test_power_is_how_often_a_simulated_effect_is_found():
    generator = np.random.default_rng(0)
    draws = generator.normal(1.5, 1.0, (TRIALS, SEEDS))
    found = stats.ttest_1samp(draws, 0, axis=1, alternative="greater").pvalue <= 0.025
    assert power(1.5, 1.0, SEEDS, 0.025) == pytest.approx(found.mean(), abs=0.03)


NOISE = {
    "normal": lambda g: g.normal(0, 1, (2, TRIALS, SEEDS)),
    "skewed": lambda g: g.exponential(1, (2, TRIALS, SEEDS)),
    "heavy": lambda g: g.standard_t(3, (2, TRIALS, SEEDS)),
}


@pytest.mark.parametrize("noise", NOISE)
def test_the_interval_covers_as_often_as_it_says(noise):
    # Two methods with the same noise and means 2 apart: the truth should be inside in 95 %.
    one, other = NOISE[noise](np.random.default_rng(7))
    intervals = [interval(values, 0.95) for values in (one + 2 - other).tolist()]
    assert 0.935 < np.mean([i.low <= 2 <= i.high for i in intervals]) < 0.985


def test_one_more_seed_lies_in_its_prediction_interval_as_often_as_it_says():
    draws = np.random.default_rng(5).normal(3, 2, (TRIALS, SEEDS + 1))
    intervals = [prediction(values[:-1], 0.95) for values in draws]
    inside = [
        low <= value <= high for (low, high), value in zip(intervals, draws[:, -1], strict=True)
    ]
    assert 0.935 < np.mean(inside) < 0.965


def test_prediction_by_hand():
    # Mean 2, standard deviation 1, t(0.975, 2) = 4.302653, √(1 + 1/3).
    half = 4.302653 * (4 / 3) ** 0.5
    assert prediction([1.0, 2.0, 3.0], 0.95) == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_a_bootstrap_of_five_seeds_would_not():
    one, other = NOISE["normal"](np.random.default_rng(7))
    picks = np.random.default_rng(8).integers(0, SEEDS, (500, SEEDS))
    means = (one - other)[:, picks].mean(-1)  # trials × resamples
    low, high = np.quantile(means, (0.025, 0.975), axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.88
