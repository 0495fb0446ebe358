"""InfoMEC: InfoM, InfoE, InfoC (Hsu et al. 2023)."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from betagvae.evaluation.quantities import Quantity
from betagvae.evaluation.scores.information import factor_entropies
from betagvae.evaluation.scores.sampling import draw_points
from betagvae.evaluation.scores.score import Encoded, Score
from betagvae.settings.scores import ScoreSettings


@dataclass(frozen=True)
class InfoMecSizes:
    """Settings of InfoMEC."""

    points: int
    neighbours: int
    least_range: float
    """Range, relative to the widest latent's, up to which a latent is inactive."""
    iterations: int
    """Steps of the logistic regressions."""


def normalised_information(
    codes_nl: np.ndarray, factors_nk: np.ndarray, neighbours: int, seed: int
) -> np.ndarray:
    """Mutual information of every latent and factor over the factor's entropy, L×K, ≥ 0.

    Continuous latents, discrete factors: the nearest-neighbour estimator of Ross 2014 as in
    scikit-learn, which sets negative estimates to 0.
    """
    information_kl = [
        mutual_info_classif(
            codes_nl,
            factor_n,
            discrete_features=False,
            n_neighbors=neighbours,
            random_state=seed,  # of the tiny noise that breaks ties
        )
        for factor_n in factors_nk.T
    ]
    return np.transpose(information_kl) / factor_entropies(factors_nk)  # K×L → L×K


def concentration(weights: np.ndarray) -> float:
    """Mean over rows of (largest / sum), rescaled so that uniform is 0 and one-hot 1.

    A row of zeros counts as uniform. With one column there is nothing to concentrate: 0.
    """
    columns = weights.shape[1]
    if weights.shape[0] == 0 or columns < 2:
        return 0.0
    total = weights.sum(axis=1)
    uniform = np.full_like(total, 1 / columns)
    share = np.divide(weights.max(axis=1), total, out=uniform, where=total > 0)
    return float((share.mean() - 1 / columns) / (1 - 1 / columns))


def predictive_information(codes_nl: np.ndarray, factor_n: np.ndarray, iterations: int) -> float:
    """Share of a factor's entropy that unpenalised logistic regression removes, ≤ 1.

    (H_V(s) − H_V(s|z)) / H_V(s), Hsu et al. 2023, InfoE, with cross-entropies in nats on the
    very images that were fitted: about values × latents / (2 N ln values) above 0 for noise.
    """
    model = LogisticRegression(C=np.inf, max_iter=iterations)
    with warnings.catch_warnings():
        # A separable factor has no finite optimum; the number of steps is part of the score.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(codes_nl, factor_n)
    conditional = log_loss(factor_n, model.predict_proba(codes_nl))
    marginal = factor_entropies(factor_n[:, None])[0]
    return 1 - conditional / marginal


def infomec(
    codes_nl: np.ndarray,
    factors_nk: np.ndarray,
    generator: np.random.Generator,
    *,
    sizes: InfoMecSizes,
) -> dict[str, float]:
    """Modularity, explicitness and compactness in terms of information, each 0..1.

    Hsu et al. 2023: ``infom`` is the concentration of each active latent's normalised
    information on one factor, ``infoc`` of each factor's on one active latent, ``infoe`` the
    share of the factors' entropy that is linearly decodable from all latents. Inactive latents
    (range at most 1/20 of the widest, as in the authors' code) are left out of the first two.
    An active latent of pure noise is judged by the noise of its estimates, of which many are 0:
    ``infom`` and ``infoc`` of a noise code are far above 0, so read them beside ``infoe``.

    Parameters
    ----------
    codes_nl, factors_nk
        Posterior means and factor classes.
    sizes
        Images drawn, neighbours of the estimator, threshold, steps.
    """
    rows = draw_points(len(codes_nl), sizes.points, generator)
    codes_nl, factors_nk = codes_nl[rows], factors_nk[rows]
    range_l = np.ptp(codes_nl, axis=0)
    active_l = range_l > range_l.max() * sizes.least_range
    seed = int(generator.integers(2**31))
    scaled_nl = StandardScaler().fit_transform(codes_nl)
    explained_k = [predictive_information(scaled_nl, s, sizes.iterations) for s in factors_nk.T]
    information_lk = np.zeros((0, factors_nk.shape[1]))
    if active_l.any():
        information_lk = normalised_information(
            scaled_nl[:, active_l], factors_nk, sizes.neighbours, seed
        )
    return {
        "infom": concentration(information_lk),
        "infoe": float(np.mean(explained_k)),
        "infoc": concentration(information_lk.T),
    }


def _compute(e: Encoded, g: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    sizes = InfoMecSizes(
        points=s.infomec_points,
        neighbours=s.infomec_neighbours,
        least_range=s.infomec_least_range,
        iterations=s.infomec_iterations,
    )
    return infomec(e.means_nl, e.factors_nk, g, sizes=sizes)


SCORE = Score(
    "infomec",
    _compute,
    {
        "infom": Quantity("InfoM", "higher", 0, 1),
        "infoe": Quantity("InfoE", "higher", 0, 1),
        "infoc": Quantity("InfoC", "higher", 0, 1),
    },
)
