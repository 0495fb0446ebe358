"""The metrics of many trainings, tidied: grouped by method, with intervals over seeds."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

from scipy.stats import t as student_t

from betagvae.errors import UserError
from betagvae.files import read_json

DATASET_NAMES = {"celeba": "CelebA", "dsprites": "dSprites", "chairs3d": "3D Chairs"}
"""The paper's names, in the order of its figures 6 to 8."""

QUANTITIES = {"reconstruction_error": "Reconstruction error", "kl": "KL divergence"}
"""What the paper compares, with the headings of tables and axes."""

LIKELIHOOD_UNITS = {
    "squared_error": "squared error summed over pixels",
    "bernoulli": "Bernoulli, nats summed over pixels",
}
"""The unit of a reconstruction error under each likelihood."""

_SPLIT_ORDER = ("test", "validation", "train")


@dataclass(frozen=True)
class SplitMetrics:
    """Means over the images of one split."""

    images: int
    reconstruction_error: float
    """Sum over the pixels of an image, in the unit of the likelihood."""
    kl: float
    """Sum over latents, nats."""
    kl_per_latent: tuple[float, ...]
    """Nats, L."""


@dataclass(frozen=True)
class Training:
    """What one training was, as every file beside it says."""

    path: Path
    dataset: str
    source: str
    stand_in: bool
    beta: float
    gamma: float
    seed: int
    steps: int
    basis: str
    """What its numbers rest on besides: only numbers on one basis can be compared."""


AnyTraining = TypeVar("AnyTraining", bound=Training)


@dataclass(frozen=True)
class Run(Training):
    """One training, as its metrics file describes it."""

    splits: dict[str, SplitMetrics]

    @property
    def likelihood(self) -> str:
        """The likelihood, and with it the unit of the reconstruction error."""
        return self.basis

    @property
    def held_out(self) -> str:
        """The split that comes first in tables and figures: test, where there is one."""
        return next(iter(self.splits))


@dataclass(frozen=True)
class Interval:
    """Mean over seeds and, from two seeds on, its confidence interval."""

    mean: float
    low: float | None
    high: float | None


def load_runs(paths: Iterable[Path]) -> list[Run]:
    """Read metrics files, sorted by data set (the paper's order), β, γ and seed.

    Raises
    ------
    UserError
        When a file is damaged, or two files describe one training or mix real images and
        stand-ins, likelihoods or lengths of training within a data set.
    """
    return comparable(read_run(Path(path), read_json(Path(path))) for path in paths)


def comparable(trainings: Iterable[AnyTraining]) -> list[AnyTraining]:
    """Return trainings in the order of `load_runs`.

    Raises
    ------
    UserError
        When two are the same, or two of a data set cannot be compared.
    """
    ordered = sorted(trainings, key=_order)
    for one, other in itertools.pairwise(ordered):
        if _order(one) == _order(other):
            raise UserError(f"{one.path} and {other.path} are of the same run: give one of them")
        if one.dataset == other.dataset and _kind(one) != _kind(other):
            raise UserError(
                f"{one.path} and {other.path} differ in source, steps or what is measured and "
                "cannot be compared: make both with one configuration"
            )
    return ordered


def _kind(training: Training) -> tuple[str, bool, int, str]:
    return training.source, training.stand_in, training.steps, training.basis


def identity(path: Path, content: dict[str, Any], basis: str = "") -> dict[str, Any]:
    """Return the fields of `Training` from a file's content; `basis` is the key of that field."""
    names = ("dataset", "source", "stand_in", "beta", "gamma", "seed", "steps")
    fields = {"path": path, **{name: content[name] for name in names}}
    return {**fields, "basis": content[basis] if basis else ""}


def read_run(path: Path, content: dict[str, Any]) -> Run:
    """Return what a metrics file says.

    Raises
    ------
    UserError
        When it lacks something.
    """
    try:
        splits = {name: _split(content["splits"][name]) for name in _splits(content)}
        return Run(**identity(path, content, "likelihood"), splits=splits)
    except KeyError as error:
        raise UserError(f"{path} lacks {error}: evaluate the model again") from error


def _splits(content: dict[str, Any]) -> list[str]:
    """Return the names of the splits of a metrics file, test first."""
    return [name for name in _SPLIT_ORDER if name in content["splits"]]


def _split(content: dict[str, Any]) -> SplitMetrics:
    return SplitMetrics(
        images=content["images"],
        reconstruction_error=content["reconstruction_error"],
        kl=content["kl"],
        kl_per_latent=tuple(content["kl_per_latent"]),
    )


def dataset_rank(dataset: str) -> tuple[int, str]:
    """Return a sorting key: the paper's order first, then any other set by name."""
    names = list(DATASET_NAMES)
    return (names.index(dataset) if dataset in names else len(names), dataset)


def _order(run: Training) -> tuple[Any, ...]:
    return (*dataset_rank(run.dataset), run.beta, run.gamma, run.seed)


def datasets(runs: Sequence[Run]) -> list[str]:
    """Return the data sets of the runs, in the paper's order."""
    return sorted({run.dataset for run in runs}, key=dataset_rank)


def seeds_of(runs: Sequence[Run], dataset: str, beta: float, gamma: float) -> list[Run]:
    """Return one run a seed of a data set and pair of weights.

    Raises
    ------
    UserError
        When there is none.
    """
    found = [run for run in runs if (run.dataset, run.beta, run.gamma) == (dataset, beta, gamma)]
    if not found:
        raise missing("metrics", dataset, beta, gamma)
    return found


def missing(what: str, dataset: str, beta: float, gamma: float) -> UserError:
    """Return the error that names a run which is not among the files."""
    name = DATASET_NAMES.get(dataset, dataset)
    return UserError(
        f"no {what} of {name} with β = {beta:g}, γ = {gamma:g} among the files: "
        "train and evaluate that run, and give its file as well"
    )


def interval(values: Sequence[float], level: float) -> Interval:
    """Return the mean and Student's t interval of values, one a seed.

    Parameters
    ----------
    values
        At least one; with a single one there is no interval.
    level
        Confidence level, between 0 and 1.
    """
    mean, n = fmean(values), len(values)
    if n == 1:
        return Interval(mean, None, None)
    half = float(student_t.ppf((1 + level) / 2, n - 1)) * stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def data_label(dataset: str, source: str, stand_in: bool) -> str:
    """Return the name to print: a stand-in says that it is one."""
    name = DATASET_NAMES.get(dataset, dataset)
    return f"{name} stand-in ({source})" if stand_in else name


def split_label(split: str, splits: Iterable[str]) -> str:
    """Return the split's name to print; a set of which nothing is held out is `all images`."""
    return "all images" if list(splits) == ["train"] else split
