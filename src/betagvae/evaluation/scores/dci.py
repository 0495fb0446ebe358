"""Disentanglement, completeness, informativeness (Eastwood & Williams 2018)."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from betagvae.evaluation.quantities import Quantity
from betagvae.evaluation.scores.sampling import split_points
from betagvae.evaluation.scores.score import Encoded, Score
from betagvae.settings.scores import ScoreSettings


@dataclass(frozen=True)
class Forest:
    """Size of the random forest that predicts a factor from all latents."""

    trees: int
    depth: int


def _focus(weights: np.ndarray) -> np.ndarray:
    """Return 1 − entropy of each row in base of its length: 1 one-hot, 0 uniform or all zero."""
    total = weights.sum(axis=1, keepdims=True)
    uniform = np.full_like(weights, 1 / weights.shape[1])
    share = np.divide(weights, total, out=uniform, where=total > 0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return 1 + (share * logs).sum(axis=1) / np.log(weights.shape[1])


def _weighted_focus(weights: np.ndarray) -> float:
    """Mean of the rows' focus, each row weighted by its share of all importance."""
    total = weights.sum()
    return float((_focus(weights) * weights.sum(axis=1)).sum() / total) if total > 0 else 0.0


def disentanglement(importance_lk: np.ndarray) -> float:
    """Return D = Σ_l ρ_l (1 − H_K(P_l)) (Eastwood & Williams 2018, sec. 2), 0..1."""
    return _weighted_focus(importance_lk)


def completeness(importance_lk: np.ndarray) -> float:
    """Return C = Σ_k ρ_k (1 − H_L(P_k)) (Eastwood & Williams 2018, sec. 2), 0..1.

    The mean over factors is weighted by their share of importance, as the field does; with
    importances that sum to 1 a factor, as here, that is the plain mean of the paper.
    """
    return _weighted_focus(importance_lk.T)


def dci(
    codes_nl: np.ndarray,
    factors_nk: np.ndarray,
    generator: np.random.Generator,
    *,
    train: int,
    test: int,
    forest: Forest,
) -> dict[str, float]:
    """Disentanglement, completeness and informativeness from random forests.

    Eastwood & Williams 2018 measure importance with lasso or random forests, Locatello et al.
    2019 with gradient boosting. Boosting fits one tree for each value and round: six minutes a
    model at protocol sizes, so forests it is, of limited depth because a tree grown to purity
    spreads importance over noise. Every split sees all latents; with the usual √L the right
    latent is often not on offer and an identity code scores 0.6 in place of 1. Numbers are
    therefore comparable within this project, and only roughly with published ones.

    Parameters
    ----------
    codes_nl, factors_nk
        Posterior means and factor classes.
    train, test
        Disjoint random images for fitting and for informativeness.
    forest
        Number and depth of the trees.

    Returns
    -------
    dict
        ``dci_disentanglement`` and ``dci_completeness``, 0..1; ``dci_informativeness``, the
        accuracy on the test images, mean over factors (the paper's is an error).
    """
    fit, held_out = split_points(len(codes_nl), train, test, generator)
    importances, accuracies = [], []
    for factor_n in factors_nk.T:
        model = RandomForestClassifier(
            n_estimators=forest.trees,
            max_depth=forest.depth,
            max_features=None,
            random_state=int(generator.integers(2**31)),
        ).fit(codes_nl[fit], factor_n[fit])
        importances.append(model.feature_importances_)  # sums to 1, or to 0 for a constant code
        accuracies.append(model.score(codes_nl[held_out], factor_n[held_out]))
    importance_lk = np.stack(importances, axis=1)
    return {
        "dci_disentanglement": disentanglement(importance_lk),
        "dci_completeness": completeness(importance_lk),
        "dci_informativeness": float(np.mean(accuracies)),
    }


def _compute(e: Encoded, g: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    forest = Forest(trees=s.dci_trees, depth=s.dci_depth)
    return dci(e.means_nl, e.factors_nk, g, train=s.train_points, test=s.test_points, forest=forest)


SCORE = Score(
    "dci",
    _compute,
    {
        "dci_disentanglement": Quantity("DCI disentanglement", "higher", 0, 1),
        "dci_completeness": Quantity("DCI completeness", "higher", 0, 1),
        "dci_informativeness": Quantity("DCI informativeness", "higher", 0, 1),
    },
)
