"""What a score is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from betagvae.evaluation.quantities import Quantity
from betagvae.settings.scores import ScoreSettings


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a model made of N images, and what is known of them."""

    means_nl: np.ndarray
    log_variances_nl: np.ndarray
    factors_nk: np.ndarray
    """Classes of the factors that vary; K is 0 where none are known."""


@dataclass(frozen=True)
class Score:
    """A way to judge codes; it can give several numbers."""

    name: str
    compute: Callable[[Encoded, np.random.Generator, ScoreSettings], dict[str, float]]
    numbers: Mapping[str, Quantity]
    """What each of its numbers means, in the order of the tables."""
    needs_factors: bool = True
