"""FactorVAE score (Kim & Mnih 2018, sec. 4)."""

from dataclasses import dataclass

import numpy as np

from betagvae.evaluation.quantities import Quantity
from betagvae.evaluation.scores.sampling import FactorIndex
from betagvae.evaluation.scores.score import Encoded, Score
from betagvae.settings.scores import ScoreSettings

_VOTES_AT_ONCE = 1000
"""Votes whose images are gathered together: 1000 × 64 × 10 doubles are 5 MB."""


@dataclass(frozen=True)
class Votes:
    """What each vote says: the factor that was held fixed, the latent that varied least."""

    factor_v: np.ndarray
    latent_v: np.ndarray


def draw_vote_images(
    factors_nk: np.ndarray,
    index: FactorIndex,
    generator: np.random.Generator,
    shape: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw for each vote a factor and a batch of images that share its value.

    The value is that of a random image, so frequent values are fixed more often.

    Returns
    -------
    tuple
        Factors V, image indices V×B, for ``shape`` = (V, B).
    """
    images, factors = factors_nk.shape
    factor_v = generator.integers(factors, size=shape[0])
    value_v = factors_nk[generator.integers(images, size=shape[0]), factor_v]
    batch_vb = index.draw(factor_v[:, None], value_v[:, None], generator.random(shape))
    return factor_v, batch_vb


def cast_votes(
    codes_nl: np.ndarray,
    factors_nk: np.ndarray,
    generator: np.random.Generator,
    *,
    votes: int,
    batch: int,
) -> Votes:
    """Cast votes: which latent has the least variance relative to its variance over all images.

    Parameters
    ----------
    codes_nl
        Latents that are not collapsed.
    votes, batch
        Number of votes; images in each, at least 2.
    """
    index = FactorIndex.build(factors_nk)
    spread_l = codes_nl.var(axis=0, ddof=1, dtype=np.float64)
    factors, latents = [], []
    for first in range(0, votes, _VOTES_AT_ONCE):
        shape = (min(_VOTES_AT_ONCE, votes - first), batch)
        factor_v, batch_vb = draw_vote_images(factors_nk, index, generator, shape)
        local_vl = codes_nl[batch_vb].var(axis=1, ddof=1, dtype=np.float64)
        factors.append(factor_v)
        latents.append((local_vl / spread_l).argmin(axis=1))
    return Votes(np.concatenate(factors), np.concatenate(latents))


def vote_accuracy(train: Votes, evaluation: Votes, latents: int, factors: int) -> float:
    """Accuracy on ``evaluation`` of the majority classifier latent → factor of ``train``."""
    table_lk = np.zeros((latents, factors), dtype=np.int64)
    np.add.at(table_lk, (train.latent_v, train.factor_v), 1)
    predicted_v = table_lk.argmax(axis=1)[evaluation.latent_v]
    return float((predicted_v == evaluation.factor_v).mean())


def factor_vae(
    codes_nl: np.ndarray,
    factors_nk: np.ndarray,
    generator: np.random.Generator,
    *,
    train: int,
    evaluation: int,
    batch: int,
    least_variance: float,
) -> dict[str, float]:
    """FactorVAE score: accuracy of the majority-vote classifier, 0..1.

    Kim & Mnih 2018, sec. 4, by the protocol of Locatello et al. 2019: latents whose posterior
    mean varies less than ``least_variance`` over all encoded images are left out. Chance is
    1/K; with no latent left the score is 0.

    Parameters
    ----------
    codes_nl, factors_nk
        Posterior means and factor classes.
    train, evaluation, batch
        Votes for the classifier, votes for its accuracy, images in a vote.
    least_variance
        Variance below which a latent is collapsed, squared units of the code.
    """
    active_l = codes_nl.var(axis=0, ddof=1, dtype=np.float64) >= least_variance
    if not active_l.any():
        return {"factor_vae": 0.0}
    active_codes_nl = codes_nl[:, active_l]
    fit, held_out = (
        cast_votes(active_codes_nl, factors_nk, generator, votes=votes, batch=batch)
        for votes in (train, evaluation)
    )
    accuracy = vote_accuracy(fit, held_out, int(active_l.sum()), factors_nk.shape[1])
    return {"factor_vae": accuracy}


def _compute(e: Encoded, g: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    return factor_vae(
        e.means_nl,
        e.factors_nk,
        g,
        train=s.train_votes,
        evaluation=s.evaluation_votes,
        batch=s.batch,
        least_variance=s.least_variance,
    )


SCORE = Score(
    "factor_vae",
    _compute,
    {
        "factor_vae": Quantity("FactorVAE score", "higher", 0, 1),
    },
)
