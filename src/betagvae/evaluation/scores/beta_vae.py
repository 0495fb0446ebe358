"""β-VAE score (Higgins et al. 2017, sec. 3)."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from betagvae.evaluation.quantities import Quantity
from betagvae.evaluation.scores.sampling import FactorIndex
from betagvae.evaluation.scores.score import Encoded, Score
from betagvae.settings.scores import ScoreSettings

_DIFFERENCES_AT_ONCE = 1000
"""Differences whose images are gathered together: 2 × 1000 × 64 × 10 doubles are 10 MB."""


def draw_pairs(
    factors_nk: np.ndarray,
    index: FactorIndex,
    generator: np.random.Generator,
    shape: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw for each point a factor and a batch of image pairs that agree in its value.

    Returns
    -------
    tuple
        Factors P, first images P×B, second images P×B, for ``shape`` = (P, B).
    """
    images, factors = factors_nk.shape
    factor_p = generator.integers(factors, size=shape[0])
    first_pb = generator.integers(images, size=shape)
    value_pb = factors_nk[first_pb, factor_p[:, None]]
    second_pb = index.draw(factor_p[:, None], value_pb, generator.random(shape))
    return factor_p, first_pb, second_pb


def mean_differences(
    codes_nl: np.ndarray,
    factors_nk: np.ndarray,
    generator: np.random.Generator,
    *,
    points: int,
    batch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return features P×L (mean over a batch of |z₁ − z₂|) and the fixed factors P."""
    index = FactorIndex.build(factors_nk)
    features, factors = [], []
    for begin in range(0, points, _DIFFERENCES_AT_ONCE):
        shape = (min(_DIFFERENCES_AT_ONCE, points - begin), batch)
        factor_p, first_pb, second_pb = draw_pairs(factors_nk, index, generator, shape)
        difference_pbl = np.abs(codes_nl[first_pb] - codes_nl[second_pb])
        features.append(difference_pbl.mean(axis=1, dtype=np.float64))
        factors.append(factor_p)
    return np.concatenate(features), np.concatenate(factors)


def beta_vae(
    codes_nl: np.ndarray,
    factors_nk: np.ndarray,
    generator: np.random.Generator,
    *,
    train: int,
    evaluation: int,
    batch: int,
) -> dict[str, float]:
    """β-VAE score: accuracy of a linear classifier that names the shared factor, 0..1.

    Higgins et al. 2017, sec. 3, by the protocol of Locatello et al. 2019 (logistic regression
    on unscaled differences of posterior means, scikit-learn's default penalty; multinomial
    here, one against the rest in the scikit-learn of 2019). Chance is 1/K.

    Parameters
    ----------
    codes_nl, factors_nk
        Posterior means and factor classes.
    train, evaluation, batch
        Points for fitting, points for the accuracy, image pairs averaged in a point.
    """
    (train_pl, train_p), (test_pl, test_p) = (
        mean_differences(codes_nl, factors_nk, generator, points=points, batch=batch)
        for points in (train, evaluation)
    )
    model = LogisticRegression(max_iter=1000).fit(train_pl, train_p)
    return {"beta_vae": float(model.score(test_pl, test_p))}


def _compute(e: Encoded, g: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    return beta_vae(
        e.means_nl,
        e.factors_nk,
        g,
        train=s.train_votes,
        evaluation=s.evaluation_votes,
        batch=s.batch,
    )


SCORE = Score(
    "beta_vae",
    _compute,
    {
        "beta_vae": Quantity("β-VAE score", "higher", 0, 1),
    },
)
