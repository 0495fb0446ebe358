"""Entropies and mutual information of codes and factors, in nats."""

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score


def bin_codes(codes_nl: np.ndarray, bins: int) -> np.ndarray:
    """Discretise each latent into ``bins`` cells of equal width from its minimum to its maximum.

    Returns
    -------
    np.ndarray
        Integers 0..bins-1, N×L; a constant latent has only cell 0.
    """
    low_l = codes_nl.min(axis=0)
    width_l = codes_nl.max(axis=0) - low_l
    scaled_nl = (codes_nl - low_l) / np.where(width_l > 0, width_l, 1)
    # The maximum belongs to the last cell, as in numpy.histogram.
    return np.minimum((scaled_nl * bins).astype(np.int64), bins - 1)


def factor_entropies(factors_nk: np.ndarray) -> np.ndarray:
    """Return the empirical entropy of each of the K factors in nats."""
    return np.array([entropy(np.bincount(column)) for column in factors_nk.T])


def binned_mutual_information(
    codes_nl: np.ndarray, factors_nk: np.ndarray, bins: int
) -> np.ndarray:
    """Plug-in mutual information of every binned latent with every factor.

    Not corrected for its bias of about (cells − 1)(values − 1) / 2N nats: the field's scores
    are defined with the plug-in estimate.

    Returns
    -------
    np.ndarray
        L×K, nats.
    """
    binned_nl = bin_codes(codes_nl, bins)
    return np.array(
        [[mutual_info_score(factor, latent) for factor in factors_nk.T] for latent in binned_nl.T]
    )


def top_two_gap(matrix_lk: np.ndarray) -> np.ndarray:
    """Return, for each factor (column), the largest entry less the second largest."""
    ordered_lk = np.sort(matrix_lk, axis=0)
    return ordered_lk[-1] - ordered_lk[-2]
