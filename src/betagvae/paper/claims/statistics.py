"""Statistics over seeds: Student's t on paired differences, Holm's correction, power.

Why Student's t and not a bootstrap: with the five seeds of the paper's configuration a percentile
bootstrap interval of 95 % covers the truth in about 83 % of cases, since it neither knows the
spread's own uncertainty nor corrects for n − 1 (Hesterberg 2015, *The American Statistician*
69(4), 371–386), and an exact sign-flip test cannot go below p = 1/2⁵ = 0.031 one-sided, which is
above the 0.025 of a 95 % interval. Student's t (1908) is exact when the differences between two
trainings that share a seed are normal. Such differences are near symmetric, because both methods
vary for the same reasons, and then the interval's coverage stays close to its level (see the
tests). Colas, Sigaud & Oudeyer (2018, arXiv:1806.08295) come to the same choice for comparing
trainings over seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import nct, permutation_test
from scipy.stats import t as student_t

MOST_SEEDS = 1000
"""More seeds than anybody trains; `seeds_needed` does not count beyond."""

_RESAMPLES = 2**14


@dataclass(frozen=True)
class Tails:
    """One-sided p-values of values, one a seed, against zero."""

    above: float
    """Student's t; small when the mean is above zero."""
    below: float
    """Student's t; small when the mean is below zero."""
    sign_flip: float
    """Small when the mean is above zero; assumes nothing but symmetry, and is at least 2⁻ⁿ."""


def tails(values: Sequence[float]) -> Tails:
    """Test at least two values that are not all equal, one a seed, against zero.

    The sign-flip test goes through all 2ⁿ signs, beyond 14 seeds through a fixed random choice.
    """
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    t = array.mean() / (array.std(ddof=1) / math.sqrt(n))
    flipped = permutation_test(
        (array,),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return Tails(
        above=float(student_t.sf(t, n - 1)),
        below=float(student_t.cdf(t, n - 1)),
        sign_flip=float(flipped.pvalue),
    )


def prediction(values: Sequence[float], level: float) -> tuple[float, float]:
    """Return where one more seed's value would lie with probability `level`.

    For setting a single published number beside several seeds (Patil, Peng & Leek 2016,
    *Perspectives on Psychological Science* 11(4), 539–544); at least two values, normal.
    """
    array = np.asarray(values, dtype=np.float64)
    n, mean = len(array), array.mean()
    half = student_t.ppf((1 + level) / 2, n - 1) * array.std(ddof=1) * math.sqrt(1 + 1 / n)
    return float(mean - half), float(mean + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for looking at all of them (Holm 1979), in the given order."""
    count, largest = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def power(effect: float, spread: float, seeds: int, alpha: float) -> float:
    """Return the probability that a one-sided paired t test finds a true effect.

    Parameters
    ----------
    effect
        True mean of the differences, above zero.
    spread
        Their true standard deviation, above zero.
    seeds
        At least two.
    alpha
        One-sided significance level.
    """
    critical = student_t.isf(alpha, seeds - 1)
    return float(nct.sf(critical, seeds - 1, effect / spread * math.sqrt(seeds)))


def seeds_needed(effect: float, spread: float, alpha: float, wanted: float) -> int | None:
    """Return the fewest seeds with which the power reaches `wanted`; None above `MOST_SEEDS`.

    As `power`, with the sign of `effect` left out of account.
    """
    low, high = 2, MOST_SEEDS
    if power(abs(effect), spread, high, alpha) < wanted:
        return None
    while low < high:
        middle = (low + high) // 2
        if power(abs(effect), spread, middle, alpha) < wanted:
            low = middle + 1
        else:
            high = middle
    return low
