"""The numbers that the paper prints, and nothing computed here.

Zhang X., Zhao Y., Ding W., Zhang Y.: *Decoupling of Variational Autoencoder Based on Generative
Adversarial Network*, Tianjin University of Science & Technology, CN 1672-6510 (2023) 04-0062-07,
DOI 10.13364/j.issn.1672-6510.20220257. One number each: the paper gives no spread, nor the split
that the numbers were taken on. All of them are from CelebA.
"""

from dataclasses import dataclass

from betagvae.settings.training import WEIGHTS, TrainingSettings

DOI = "10.13364/j.issn.1672-6510.20220257"

DATASET = "celeba"
"""The only data set that the paper gives numbers for."""

LIKELIHOOD = "squared_error"
"""The likelihood that the paper's reconstruction errors fit; it states none."""


@dataclass(frozen=True)
class Reported:
    """One column of Table 1 or one row of Table 2."""

    beta: float
    gamma: float
    reconstruction_error: float
    """As printed; the paper states no unit (see `betagvae.model.objective.squared_error`)."""
    kl: float
    """KL divergence, nats."""


FIGURES = {"fig6": "celeba", "fig7": "dsprites", "fig8": "chairs3d"}
"""Figures of latent traversals, and the data set of each."""

TABLE_1 = (
    Reported(2, 2, 228.511, 20.363),
    Reported(3, 3, 236.819, 17.997),
    Reported(4, 1, 242.275, 16.073),
    Reported(4, 4, 244.180, 16.197),
    Reported(4, 10, 230.867, 16.235),
    Reported(4, 15, 243.808, 16.097),
    Reported(4, 20, 243.951, 16.079),
)
"""Table 1: β-GVAE with seven pairs of weights."""

TABLE_2 = (
    Reported(1, 0, 227.243, 24.878),  # VAE
    Reported(4, 0, 247.686, 16.528),  # β-VAE
    Reported(4, 10, 230.867, 16.235),  # β-GVAE
)
"""Table 2: the three methods."""


def reported(dataset: str, settings: TrainingSettings) -> Reported | None:
    """Return what the paper prints for a training's data set and weights; None where nothing.

    The paper does not say how γ·D is to be read: its value stands beside every reading.
    """
    others = (weight for weight in WEIGHTS if weight not in ("beta", "gamma"))
    if dataset != DATASET or any(getattr(settings, weight) for weight in others):
        return None
    pairs = {(row.beta, row.gamma): row for row in (*TABLE_1, *TABLE_2)}
    return pairs.get((settings.beta, settings.gamma))
