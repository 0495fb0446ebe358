"""The registry of scores, and the one function that runs them."""

import logging
import time
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from betagvae.errors import UserError
from betagvae.evaluation.scores import (
    beta_vae,
    dci,
    factor_vae,
    infomec,
    label_free,
    mig,
    modularity,
    sap,
)
from betagvae.evaluation.scores.score import Encoded
from betagvae.settings.scores import ScoreSettings

_log = logging.getLogger(__name__)

_ALL = (
    mig.SCORE,
    dci.SCORE,
    sap.SCORE,
    factor_vae.SCORE,
    beta_vae.SCORE,
    modularity.SCORE,
    infomec.SCORE,
    label_free.ACTIVE_UNITS,
    label_free.TOTAL_CORRELATION,
)
"""In the order of the tables; add a score here."""

SCORES = {score.name: score for score in _ALL}
"""All scores, by name."""

LABEL_FREE = {name: score for name, score in SCORES.items() if not score.needs_factors}
"""Scores that need no factors."""

NUMBERS = {name: quantity for score in _ALL for name, quantity in score.numbers.items()}
"""The numbers that the scores give, in the order of the tables."""


def compute_scores(
    means: np.ndarray,
    log_variances: np.ndarray,
    factor_classes: np.ndarray | None,
    factor_sizes: Sequence[int] | None,
    settings: ScoreSettings,
    *,
    only: Iterable[str] | None = None,
) -> dict[str, float]:
    """Compute the scores of one model.

    Each score has its own random stream, from the seed and its name: a score's numbers do not
    depend on which others run.

    Parameters
    ----------
    means, log_variances
        Posterior of every encoded image, N×L: all images of a data set or a random subset.
    factor_classes, factor_sizes
        Class of each image's factors, N×K, and their numbers of classes; None where the factors
        are unknown, and then only label-free scores run. Factors that are constant, by their
        size or among these images, are left out.
    settings
        Sizes and thresholds of all scores, and the seed, which fixes everything.
    only
        Names of the scores wanted; by default all that are possible.

    Returns
    -------
    dict
        Flat: one score can give several numbers.

    Raises
    ------
    UserError
        If the arrays do not fit each other or the settings, or a name is unknown.
    """
    encoded = _encoded(means, log_variances, factor_classes, factor_sizes)
    results: dict[str, float] = {}
    for name in _names(only, factors=encoded.factors_nk.shape[1]):
        started = time.perf_counter()
        generator = np.random.default_rng([settings.seed, zlib.crc32(name.encode())])
        # One thread: sums in the same order on any number of cores, and no slower at these sizes.
        with threadpool_limits(limits=1):
            results |= SCORES[name].compute(encoded, generator, settings)
        _log.info("score %s: %.1f s", name, time.perf_counter() - started)
    return results


def _names(only: Iterable[str] | None, factors: int) -> list[str]:
    """Return the scores to run, in the registry's order."""
    possible = SCORES if factors else LABEL_FREE
    wanted = set(possible if only is None else only)
    if unknown := wanted - set(SCORES):
        raise UserError(f"unknown scores {sorted(unknown)}: choose from {sorted(SCORES)}")
    if impossible := wanted - set(possible):
        raise UserError(
            f"scores {sorted(impossible)} need known factors, and this data set has none: "
            f"choose from {sorted(LABEL_FREE)}"
        )
    return [name for name in SCORES if name in wanted]


def _encoded(
    means: np.ndarray,
    log_variances: np.ndarray,
    factor_classes: np.ndarray | None,
    factor_sizes: Sequence[int] | None,
) -> Encoded:
    """Check the arrays and drop the factors that do not vary."""
    if means.ndim != 2 or means.shape != log_variances.shape or means.shape[1] < 2:
        raise UserError(
            "codes must be two equal N×L arrays with L ≥ 2: "
            f"got means {means.shape} and log variances {log_variances.shape}"
        )
    if not (np.isfinite(means).all() and np.isfinite(log_variances).all()):
        raise UserError("codes contain NaN or infinity: the training of this model diverged")
    factors_nk = np.zeros((len(means), 0), dtype=np.int64)
    if factor_classes is not None and factor_sizes is not None:
        factors_nk = _varying(factor_classes, factor_sizes, len(means))
    return Encoded(means.astype(np.float64), log_variances.astype(np.float64), factors_nk)


def _varying(classes_nk: np.ndarray, sizes_k: Sequence[int], images: int) -> np.ndarray:
    """Return the columns of factors that vary among the images, as int64."""
    if classes_nk.shape != (images, len(sizes_k)):
        raise UserError(
            f"factor classes must be {images}×{len(sizes_k)} (images × factors): "
            f"got {classes_nk.shape}"
        )
    if (classes_nk < 0).any() or (classes_nk >= np.asarray(sizes_k)).any():
        raise UserError(f"a factor class lies outside 0..size−1 of the sizes {list(sizes_k)}")
    varying_nk = classes_nk[:, np.ptp(classes_nk, axis=0) > 0].astype(np.int64)
    if varying_nk.shape[1] == 1:
        raise UserError("scores compare factors: at least two must vary among the images")
    return varying_nk
