"""The registry of scores, their sizes, and the one function that runs them."""

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from betagvae.errors import UserError
from betagvae.evaluation.scores.beta_vae import beta_vae
from betagvae.evaluation.scores.dci import Forest, dci
from betagvae.evaluation.scores.factor_vae import factor_vae
from betagvae.evaluation.scores.infomec import InfoMecSizes, infomec
from betagvae.evaluation.scores.label_free import active_units, total_correlation
from betagvae.evaluation.scores.mig import mig
from betagvae.evaluation.scores.modularity import modularity_explicitness
from betagvae.evaluation.scores.sap import sap
from betagvae.results.quantities import Quantity

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreSizes:
    """Every number a score depends on; the defaults are the protocol of Locatello et al. 2019.

    Where that protocol has none (forests, InfoMEC, total correlation), the docstring of the
    score gives the reason for the default.
    """

    mig_points: int = 10_000
    bins: int = 20
    """Cells of a latent's histogram, for MIG and modularity."""
    train_points: int = 10_000
    """Images to fit on, for DCI, SAP and modularity/explicitness."""
    test_points: int = 5_000
    dci_trees: int = 50
    dci_depth: int = 8
    train_votes: int = 10_000
    """Votes (FactorVAE score) and points (β-VAE score) to fit on."""
    evaluation_votes: int = 5_000
    batch: int = 64
    """Images in a vote, image pairs in a point."""
    least_variance: float = 0.05
    """FactorVAE score: latents whose mean varies less are collapsed."""
    infomec_points: int = 10_000
    infomec_neighbours: int = 10
    infomec_least_range: float = 0.05
    infomec_iterations: int = 100
    active_variance: float = 0.01
    """Active units: variance of the posterior mean above which a latent is active."""
    correlation_samples: int = 1_000
    """Samples of the aggregate posterior that the total correlation is averaged over."""
    correlation_subset: int = 10_000
    """Posteriors that stand for all in the one-dimensional densities."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a model made of N images, and what is known of them."""

    means_nl: np.ndarray
    log_variances_nl: np.ndarray
    factors_nk: np.ndarray
    """Classes of the factors that vary; K is 0 where none are known."""


Score = Callable[[Encoded, np.random.Generator, ScoreSizes], dict[str, float]]


def _mig(e: Encoded, g: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    return mig(e.means_nl, e.factors_nk, g, points=s.mig_points, bins=s.bins)


def _dci(e: Encoded, g: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    forest = Forest(trees=s.dci_trees, depth=s.dci_depth)
    return dci(e.means_nl, e.factors_nk, g, train=s.train_points, test=s.test_points, forest=forest)


def _sap(e: Encoded, g: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    return sap(e.means_nl, e.factors_nk, g, train=s.train_points, test=s.test_points)


def _factor_vae(e: Encoded, g: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    return factor_vae(
        e.means_nl,
        e.factors_nk,
        g,
        train=s.train_votes,
        evaluation=s.evaluation_votes,
        batch=s.batch,
        least_variance=s.least_variance,
    )


def _beta_vae(e: Encoded, g: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    return beta_vae(
        e.means_nl,
        e.factors_nk,
        g,
        train=s.train_votes,
        evaluation=s.evaluation_votes,
        batch=s.batch,
    )


def _modularity(e: Encoded, g: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    return modularity_explicitness(
        e.means_nl, e.factors_nk, g, train=s.train_points, test=s.test_points, bins=s.bins
    )


def _infomec(e: Encoded, g: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    sizes = InfoMecSizes(
        points=s.infomec_points,
        neighbours=s.infomec_neighbours,
        least_range=s.infomec_least_range,
        iterations=s.infomec_iterations,
    )
    return infomec(e.means_nl, e.factors_nk, g, sizes=sizes)


def _active_units(e: Encoded, _: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    return active_units(e.means_nl, least_variance=s.active_variance)


def _total_correlation(e: Encoded, g: np.random.Generator, s: ScoreSizes) -> dict[str, float]:
    return total_correlation(
        e.means_nl,
        e.log_variances_nl,
        g,
        samples=s.correlation_samples,
        subset=s.correlation_subset,
    )


LABEL_FREE: dict[str, Score] = {
    "active_units": _active_units,
    "total_correlation": _total_correlation,
}
"""Scores that need no factors."""

SCORES: dict[str, Score] = {
    "mig": _mig,
    "dci": _dci,
    "sap": _sap,
    "factor_vae": _factor_vae,
    "beta_vae": _beta_vae,
    "modularity_explicitness": _modularity,
    "infomec": _infomec,
    **LABEL_FREE,
}
"""All scores, by name. Add a score here, and what its numbers mean below."""

NUMBERS: dict[str, Quantity] = {
    "mig": Quantity("MIG", "higher", 0, 1),
    "dci_disentanglement": Quantity("DCI disentanglement", "higher", 0, 1),
    "dci_completeness": Quantity("DCI completeness", "higher", 0, 1),
    "dci_informativeness": Quantity("DCI informativeness", "higher", 0, 1),
    "sap": Quantity("SAP", "higher", 0, 1),
    "factor_vae": Quantity("FactorVAE score", "higher", 0, 1),
    "beta_vae": Quantity("β-VAE score", "higher", 0, 1),
    "modularity": Quantity("Modularity", "higher", 0, 1),
    "explicitness": Quantity("Explicitness", "higher", 0.5, 1),
    "infom": Quantity("InfoM", "higher", 0, 1),
    "infoe": Quantity("InfoE", "higher", 0, 1),
    "infoc": Quantity("InfoC", "higher", 0, 1),
    "active_units": Quantity("Active units", "", 0, None),
    "total_correlation": Quantity("Total correlation (nats)", "lower", 0, None),
    "total_correlation_gaussian": Quantity("Gaussian total correlation (nats)", "lower", 0, None),
}
"""The numbers that the scores give, in the order of the tables."""


def compute_scores(
    means: np.ndarray,
    log_variances: np.ndarray,
    factor_classes: np.ndarray | None,
    factor_sizes: Sequence[int] | None,
    *,
    seed: int,
    sizes: ScoreSizes,
    only: Iterable[str] | None = None,
) -> dict[str, float]:
    """Compute the scores of one model.

    Each score has its own random stream, from ``seed`` and its name: a score's numbers do not
    depend on which others run.

    Parameters
    ----------
    means, log_variances
        Posterior of every encoded image, N×L: all images of a data set or a random subset.
    factor_classes, factor_sizes
        Class of each image's factors, N×K, and their numbers of classes; None where the factors
        are unknown, and then only label-free scores run. Factors that are constant, by their
        size or among these images, are left out.
    seed
        Fixes everything.
    sizes
        Sizes and thresholds of all scores.
    only
        Names of the scores wanted; by default all that are possible.

    Returns
    -------
    dict
        Flat: one score can give several numbers.

    Raises
    ------
    UserError
        If the arrays do not fit each other or the sizes, or a name is unknown.
    """
    encoded = _encoded(means, log_variances, factor_classes, factor_sizes)
    results: dict[str, float] = {}
    for name in _names(only, factors=encoded.factors_nk.shape[1]):
        started = time.perf_counter()
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        # One thread: sums in the same order on any number of cores, and no slower at these sizes.
        with threadpool_limits(limits=1):
            results |= SCORES[name](encoded, generator, sizes)
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
