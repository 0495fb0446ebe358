"""Modularity and explicitness (Ridgeway & Mozer 2018, sec. 3)."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from betagvae.evaluation.quantities import Quantity
from betagvae.evaluation.scores.information import binned_mutual_information
from betagvae.evaluation.scores.sampling import split_points
from betagvae.evaluation.scores.score import Encoded, Score
from betagvae.settings.scores import ScoreSettings


def modularity(information_lk: np.ndarray) -> float:
    """Return the mean over latents of 1 − Σ_{k≠best} I_lk² / (I_l,best² (K − 1)), 0..1.

    Ridgeway & Mozer 2018, sec. 3, from mutual information in nats. A latent without any
    information counts 0 (Locatello et al. 2019).
    """
    squared_lk = np.square(information_lk)
    best_l = squared_lk.max(axis=1)
    others_l = (squared_lk.sum(axis=1) - best_l) / (squared_lk.shape[1] - 1)
    deviation_l = np.divide(others_l, best_l, out=np.ones_like(best_l), where=best_l > 0)
    return float((1 - deviation_l).mean())


def one_against_rest_aucs(
    train_codes_nl: np.ndarray,
    train_factor_n: np.ndarray,
    test_codes_ml: np.ndarray,
    test_factor_m: np.ndarray,
) -> list[float]:
    """Area under the ROC curve on the test images for each value of one factor.

    Values that are missing among the images of either set, or are the only ones, are left out.
    """
    aucs = []
    for value in np.intersect1d(train_factor_n, test_factor_m):
        train_n, test_m = train_factor_n == value, test_factor_m == value
        if train_n.all() or test_m.all():
            continue
        model = LogisticRegression().fit(train_codes_nl, train_n)
        aucs.append(float(roc_auc_score(test_m, model.decision_function(test_codes_ml))))
    return aucs


def modularity_explicitness(
    codes_nl: np.ndarray,
    factors_nk: np.ndarray,
    generator: np.random.Generator,
    *,
    train: int,
    test: int,
    bins: int,
) -> dict[str, float]:
    """Modularity, 0..1, and explicitness, 0.5 (chance)..1.

    Ridgeway & Mozer 2018, sec. 3: modularity from the binned mutual information of the training
    images; explicitness the area under the ROC curve of logistic regressions on all
    (standardised) latents, one value against the rest, mean over values, then factors.

    Modularity counts dead latents like all others, and for a latent of pure noise it measures
    the bias of the mutual information, which is larger for factors with more values: noise
    scores about 0.7 on dSprites. Read it beside a score that knows informativeness.

    Parameters
    ----------
    codes_nl, factors_nk
        Posterior means and factor classes.
    train, test
        Disjoint random images for fitting and for the areas.
    bins
        Cells of each latent's histogram.
    """
    fit, held_out = split_points(len(codes_nl), train, test, generator)
    information_lk = binned_mutual_information(codes_nl[fit], factors_nk[fit], bins)
    scaler = StandardScaler().fit(codes_nl[fit])
    fit_nl, held_out_ml = (scaler.transform(codes_nl[rows]) for rows in (fit, held_out))
    aucs = [
        np.mean(one_against_rest_aucs(fit_nl, factor_n[fit], held_out_ml, factor_n[held_out]))
        for factor_n in factors_nk.T
    ]
    return {"modularity": modularity(information_lk), "explicitness": float(np.mean(aucs))}


def _compute(e: Encoded, g: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    return modularity_explicitness(
        e.means_nl, e.factors_nk, g, train=s.train_points, test=s.test_points, bins=s.bins
    )


SCORE = Score(
    "modularity_explicitness",
    _compute,
    {
        "modularity": Quantity("Modularity", "higher", 0, 1),
        "explicitness": Quantity("Explicitness", "higher", 0.5, 1),
    },
)
