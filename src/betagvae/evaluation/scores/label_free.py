"""Scores that need no factors: active units and total correlation."""

import numpy as np

from betagvae.evaluation.quantities import Quantity
from betagvae.evaluation.scores.sampling import split_points
from betagvae.evaluation.scores.score import Encoded, Score
from betagvae.settings.scores import ScoreSettings

_POSTERIORS_AT_ONCE = 4096
"""Posteriors compared with all samples together: 1000 × 4096 doubles are 33 MB."""


def active_units(means_nl: np.ndarray, *, least_variance: float) -> dict[str, float]:
    """Count the latents whose posterior mean varies more than ``least_variance``.

    Burda et al. 2015, sec. 5.2: A_u = Cov_x(E[u|x]) > 0.01, over all encoded images.
    """
    variance_l = means_nl.var(axis=0, ddof=1, dtype=np.float64)
    return {"active_units": float((variance_l > least_variance).sum())}


def _log_density_weights(means_md: np.ndarray, log_variances_md: np.ndarray) -> np.ndarray:
    """Return w, M×(2D+1), with ln N(z; μ_m, diag σ_m²) = w_m · (z², z, 1), in nats."""
    mean_md = means_md.astype(np.float64)
    log_variance_md = log_variances_md.astype(np.float64)
    precision_md = np.exp(-log_variance_md)
    constant_m = (mean_md**2 * precision_md + log_variance_md + np.log(2 * np.pi)).sum(axis=1)
    return -0.5 * np.hstack([precision_md, -2 * mean_md * precision_md, constant_m[:, None]])


def log_mean_density(
    samples_sd: np.ndarray, means_md: np.ndarray, log_variances_md: np.ndarray
) -> np.ndarray:
    """Return ln (1/M) Σ_m N(z_s; μ_m, diag σ_m²) for each of the S samples, in nats.

    The square is multiplied out so that a matrix product does the work; in double precision,
    because narrow posteriors make its terms large.
    """
    samples_sd = samples_sd.astype(np.float64)
    terms_sd = np.hstack([samples_sd**2, samples_sd, np.ones((len(samples_sd), 1))])
    log_sum_s = np.full(len(samples_sd), -np.inf)
    for begin in range(0, len(means_md), _POSTERIORS_AT_ONCE):
        part = slice(begin, begin + _POSTERIORS_AT_ONCE)
        log_density_sm = terms_sd @ _log_density_weights(means_md[part], log_variances_md[part]).T
        peak_s = log_density_sm.max(axis=1)
        log_density_sm -= peak_s[:, None]
        part_s = peak_s + np.log(np.exp(log_density_sm, out=log_density_sm).sum(axis=1))
        log_sum_s = np.logaddexp(log_sum_s, part_s)
    return log_sum_s - np.log(len(means_md))


def _stratified_log_density(
    samples_s: np.ndarray, own_log_density_s: np.ndarray, others: np.ndarray, images: int
) -> np.ndarray:
    """Return ln q(z_l) of each sample from its own posterior and a subset of the others.

    Chen et al. 2018, appendix C.2: the posterior that a sample came from has weight 1/N, the
    subset stands for the other N − 1. ``others`` is M×2, mean and log variance of the latent.
    """
    others_s = log_mean_density(samples_s[:, None], others[:, :1], others[:, 1:])
    share = np.log1p(-1 / images)
    return np.logaddexp(own_log_density_s - np.log(images), others_s + share)


def total_correlation(
    means_nl: np.ndarray,
    log_variances_nl: np.ndarray,
    generator: np.random.Generator,
    *,
    samples: int,
    subset: int,
) -> dict[str, float]:
    """Total correlation KL(q(z) ‖ Π_l q(z_l)) of the aggregate posterior, in nats.

    E_q(z)[ln q(z) − Σ_l ln q(z_l)], Chen et al. 2018, eq. 2, by Monte Carlo. q(z) is the mean
    of the posteriors of all N encoded images and is summed in full: a minibatch would miss most
    neighbours of a sample in ten dimensions, and minibatch-weighted sampling is off by about
    (L − 1) ln N. Each q(z_l), smooth because many posteriors overlap in one dimension, is
    estimated by stratified sampling (appendix C.2). The standard error is the standard
    deviation of the bracket over √samples, about 0.05 nats.

    q(z) means the images given: compare numbers only for equal N and data, since a mixture of
    few narrow posteriors is far from independent whatever the model.

    ``total_correlation_gaussian`` is that of a Gaussian with the covariance of q(z), in closed
    form: −½ ln det of the correlation matrix. It sees linear dependence only, but has neither
    sampling noise nor dependence on N.

    Parameters
    ----------
    means_nl, log_variances_nl
        Posteriors of all N images.
    samples
        Samples of q(z) averaged over, each from the posterior of another image.
    subset
        Other posteriors that stand for all in the one-dimensional densities, at most.
    """
    images = len(means_nl)
    rows, others = split_points(images, samples, min(subset, images - samples), generator)
    mean_sl = means_nl[rows].astype(np.float64)
    scale_sl = np.exp(0.5 * log_variances_nl[rows].astype(np.float64))
    noise_sl = generator.standard_normal(mean_sl.shape)
    sample_sl = mean_sl + scale_sl * noise_sl
    own_sl = -0.5 * (noise_sl**2 + np.log(2 * np.pi)) - np.log(scale_sl)
    bracket_s = log_mean_density(sample_sl, means_nl, log_variances_nl)
    for latent in range(means_nl.shape[1]):
        moments = np.stack([means_nl[others, latent], log_variances_nl[others, latent]], axis=1)
        bracket_s -= _stratified_log_density(
            sample_sl[:, latent], own_sl[:, latent], moments, images
        )
    return {
        "total_correlation": float(bracket_s.mean()),
        "total_correlation_gaussian": gaussian_total_correlation(means_nl, log_variances_nl),
    }


def gaussian_total_correlation(means_nl: np.ndarray, log_variances_nl: np.ndarray) -> float:
    """Return the total correlation of a Gaussian with the covariance of q(z), in nats.

    Law of total covariance: Cov(z) = Cov(μ) + diag(mean σ²).
    """
    covariance_ll = np.cov(means_nl, rowvar=False, dtype=np.float64)
    covariance_ll += np.diag(np.exp(log_variances_nl.astype(np.float64)).mean(axis=0))
    scale_l = np.sqrt(np.diag(covariance_ll))
    _, log_determinant = np.linalg.slogdet(covariance_ll / np.outer(scale_l, scale_l))
    return float(max(0.0, -0.5 * log_determinant))


def _active_units(e: Encoded, _: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    return active_units(e.means_nl, least_variance=s.active_variance)


ACTIVE_UNITS = Score(
    "active_units",
    _active_units,
    {
        "active_units": Quantity("Active units", "", 0, None),
    },
    needs_factors=False,
)


def _total_correlation(e: Encoded, g: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    return total_correlation(
        e.means_nl,
        e.log_variances_nl,
        g,
        samples=s.correlation_samples,
        subset=s.correlation_subset,
    )


TOTAL_CORRELATION = Score(
    "total_correlation",
    _total_correlation,
    {
        "total_correlation": Quantity("Total correlation (nats)", "lower", 0, None),
        "total_correlation_gaussian": Quantity(
            "Gaussian total correlation (nats)", "lower", 0, None
        ),
    },
    needs_factors=False,
)
