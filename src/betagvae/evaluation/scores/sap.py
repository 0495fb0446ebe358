"""Separated attribute predictability (Kumar et al. 2018, sec. 3)."""

import numpy as np
from sklearn.svm import LinearSVC

from betagvae.evaluation.quantities import Quantity
from betagvae.evaluation.scores.information import top_two_gap
from betagvae.evaluation.scores.sampling import split_points
from betagvae.evaluation.scores.score import Encoded, Score
from betagvae.settings.scores import ScoreSettings


def prediction_accuracies(
    train_codes_nl: np.ndarray,
    train_factors_nk: np.ndarray,
    test_codes_ml: np.ndarray,
    test_factors_mk: np.ndarray,
) -> np.ndarray:
    """Accuracy on the test images of predicting each factor from each latent alone, L×K.

    A linear SVM with C = 0.01 and balanced classes (Locatello et al. 2019), one against the
    rest. Solved in the primal: deterministic, and the same optimum as the dual.
    """
    accuracy_lk = np.zeros((train_codes_nl.shape[1], train_factors_nk.shape[1]))
    for latent, factor in np.ndindex(*accuracy_lk.shape):
        # The primal solver needs no randomness, but would take a seed from numpy's global state.
        model = LinearSVC(C=0.01, class_weight="balanced", dual=False, random_state=0)
        model.fit(train_codes_nl[:, [latent]], train_factors_nk[:, factor])
        accuracy_lk[latent, factor] = model.score(
            test_codes_ml[:, [latent]], test_factors_mk[:, factor]
        )
    return accuracy_lk


def sap(
    codes_nl: np.ndarray,
    factors_nk: np.ndarray,
    generator: np.random.Generator,
    *,
    train: int,
    test: int,
) -> dict[str, float]:
    """Separated attribute predictability: mean gap between a factor's two best latents.

    Kumar et al. 2018, sec. 3, with every factor treated as discrete (Locatello et al. 2019).
    One linear function a value cannot single out a value in the middle of a scale, so even an
    identity code scores well below 1 where factors have many ordered values.

    Parameters
    ----------
    codes_nl, factors_nk
        Posterior means and factor classes.
    train, test
        Disjoint random images for fitting and for the accuracies.
    """
    fit, held_out = split_points(len(codes_nl), train, test, generator)
    accuracy_lk = prediction_accuracies(
        codes_nl[fit], factors_nk[fit], codes_nl[held_out], factors_nk[held_out]
    )
    return {"sap": float(top_two_gap(accuracy_lk).mean())}


def _compute(e: Encoded, g: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    return sap(e.means_nl, e.factors_nk, g, train=s.train_points, test=s.test_points)


SCORE = Score(
    "sap",
    _compute,
    {
        "sap": Quantity("SAP", "higher", 0, 1),
    },
)
