"""The metrics of many trainings, tidied: grouped by method, with intervals over seeds."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

from scipy.stats import t as student_t

from betagvae.data.arrays import SPLIT_ORDER
from betagvae.errors import UserError
from betagvae.records.files import read_json
from betagvae.results.identity import Identified, identity

DATASET_NAMES = {"celeba": "CelebA", "dsprites": "dSprites", "chairs3d": "3D Chairs"}
"""The paper's names, in the order of its figures 6 to 8."""

QUANTITIES = {"reconstruction_error": "Reconstruction error", "kl": "KL divergence"}
"""What the paper compares, with the headings of tables and axes."""

LIKELIHOOD_UNITS = {
    "squared_error": "squared error summed over pixels",
    "bernoulli": "Bernoulli, nats summed over pixels",
}
"""The unit of a reconstruction error under each likelihood."""


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


Result = TypeVar("Result", bound=Identified)


@dataclass(frozen=True)
class Run(Identified):
    """One training, as its metrics file describes it."""

    splits: dict[str, SplitMetrics]

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
        As `load_results`.
    """
    return load_results(paths, _run)


def load_results(
    paths: Iterable[Path], read: Callable[[Path, dict[str, Any]], Result]
) -> list[Result]:
    """Read result files, one a training, sorted by data set (the paper's order), β, γ and seed.

    Parameters
    ----------
    paths
        JSON files.
    read
        Makes a result of a path and its content; a `KeyError` stands for a damaged file.

    Raises
    ------
    UserError
        When a file is damaged, or two files describe one training or mix real images and
        stand-ins, or likelihoods, within a data set.
    """
    results = sorted((_read(Path(path), read) for path in paths), key=_order)
    for one, other in itertools.pairwise(results):
        if _order(one) == _order(other):
            raise UserError(f"{one.path} and {other.path} are of the same run: give one of them")
        if one.dataset == other.dataset and _kind(one) != _kind(other):
            raise UserError(
                f"{one.path} and {other.path} differ in source or likelihood and cannot be "
                "compared: make both with one configuration"
            )
    return results


def _read(path: Path, read: Callable[[Path, dict[str, Any]], Result]) -> Result:
    try:
        return read(path, read_json(path))
    except KeyError as error:
        raise UserError(f"{path} lacks {error}: evaluate the model again") from error


def _kind(result: Identified) -> tuple[str, bool, str]:
    return result.source, result.stand_in, result.likelihood


def _run(path: Path, content: dict[str, Any]) -> Run:
    names = [name for name in SPLIT_ORDER if name in content["splits"]]
    splits = {name: _split(content["splits"][name]) for name in names}
    return Run(path, **identity(content), splits=splits)


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


def _order(run: Identified) -> tuple[Any, ...]:
    return (*dataset_rank(run.dataset), run.beta, run.gamma, run.seed)


def datasets(runs: Sequence[Identified]) -> list[str]:
    """Return the data sets of the runs, in the paper's order."""
    return sorted({run.dataset for run in runs}, key=dataset_rank)


def seeds_of(
    runs: Sequence[Result], dataset: str, beta: float, gamma: float, what: str = "metrics"
) -> list[Result]:
    """Return one run a seed of a data set and pair of weights.

    Raises
    ------
    UserError
        When there is none.
    """
    found = [run for run in runs if (run.dataset, run.beta, run.gamma) == (dataset, beta, gamma)]
    if not found:
        raise missing(what, dataset, beta, gamma)
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


def stand_in_warning(results: Iterable[Any]) -> str:
    """Return the line that must stand above a table with stand-ins; empty without any.

    Parameters
    ----------
    results
        Anything that has a `dataset` and a `stand_in`.
    """
    names = dict.fromkeys(DATASET_NAMES.get(r.dataset, r.dataset) for r in results if r.stand_in)
    if not names:
        return ""
    return (
        f"Warning: the numbers for {' and '.join(names)} are from drawn stand-in images, not from "
        "the real ones, and cannot be compared with the paper's."
    )
