"""Sizes and thresholds of the disentanglement scores: `scores` of the configuration."""

from dataclasses import dataclass

from betagvae.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Every number that a score depends on; defaults: the protocol of Locatello et al. 2019.

    Where that protocol has none (forests, InfoMEC, total correlation), the docstring of the score
    gives the reason for the default.
    """

    seed: int = setting("seed of every random choice of the scores", 0, least=0)
    mig_points: int = setting("for MIG", 10_000, unit="images", least=1)
    bins: int = setting(
        "cells of a latent's histogram, for MIG and modularity", 20, unit="cells", least=2
    )
    train_points: int = setting(
        "to fit DCI, SAP and modularity/explicitness on", 10_000, unit="images", least=1
    )
    test_points: int = setting("to test these on", 5_000, unit="images", least=1)
    dci_trees: int = setting(
        "trees of a random forest of DCI; the protocol leaves them to a library's defaults",
        50,
        least=1,
    )
    dci_depth: int = setting("depth of each", 8, unit="splits", least=1)
    train_votes: int = setting(
        "votes of the FactorVAE score, points of the β-VAE score, to fit on",
        10_000,
        unit="votes",
        least=1,
    )
    evaluation_votes: int = setting("to test on", 5_000, unit="votes", least=1)
    batch: int = setting("images in a vote, pairs of images in a point", 64, unit="images", least=2)
    least_variance: float = setting(
        "latents whose mean varies less are collapsed and have no FactorVAE vote",
        0.05,
        unit="squared code units",
        least=0,
    )
    infomec_points: int = setting("for InfoMEC", 10_000, unit="images", least=1)
    infomec_neighbours: int = setting("of its estimator of information", 10, least=1)
    infomec_least_range: float = setting(
        "range of a latent, as a share of the widest, under which it is inactive",
        0.05,
        unit="share",
        least=0,
        below=1,
    )
    infomec_iterations: int = setting("of its logistic regression", 100, unit="steps", least=1)
    active_variance: float = setting(
        "a latent is active when its mean varies more (Burda et al. 2015)",
        0.01,
        unit="squared code units",
        least=0,
    )
    correlation_samples: int = setting(
        "samples of the aggregate posterior that the total correlation is averaged over; its "
        "standard error is about 0.05 nats",
        1_000,
        unit="samples",
        least=1,
    )
    correlation_subset: int = setting(
        "posteriors that stand for all in its one-dimensional densities",
        10_000,
        unit="images",
        least=1,
    )
