"""What several seeds say: means and their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t as student_t


@dataclass(frozen=True)
class Interval:
    """Mean over seeds and, from two seeds on, its confidence interval."""

    mean: float
    low: float | None
    high: float | None


def interval(values: Sequence[float], level: float) -> Interval:
    """Return the mean and Student's t interval of values, one a seed.

    Parameters
    ----------
    values
        At least one; with a single one there is no interval.
    level
        Confidence level, between 0 and 1.
    """
    mean, n = fmean(values), len(values)
    if n == 1:
        return Interval(mean, None, None)
    half = float(student_t.ppf((1 + level) / 2, n - 1)) * stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)
