"""The results of all trainings of an experiment, read once and found by data set and method."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from betagvae.data.arrays import SPLIT_ORDER
from betagvae.errors import UserError
from betagvae.experiment import Experiment, Row, Training, described
from betagvae.records.files import read_json
from betagvae.records.identity import Identified, read_identity
from betagvae.results.labels import dataset_name

Result = TypeVar("Result", bound=Identified)
Read = Callable[[Path, dict[str, Any]], Result]
"""Makes a result of a path and its content; a `KeyError` stands for a damaged file."""


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
class Run(Identified):
    """One training, as its metrics file describes it."""

    splits: dict[str, SplitMetrics]

    @property
    def held_out(self) -> str:
        """The split that comes first in tables and figures: test, where there is one."""
        return next(iter(self.splits))


@dataclass(frozen=True)
class Results(Generic[Result]):
    """One kind of result of the trainings of an experiment."""

    experiment: Experiment
    what: str
    """The kind, in messages."""
    by_folder: Mapping[str, Result]
    """A training's folder to its result, in the order of the experiment."""

    @property
    def datasets(self) -> list[str]:
        """The data sets that there are results of, in order."""
        return list(dict.fromkeys(result.dataset for result in self.by_folder.values()))

    def all(self, dataset: str) -> list[Result]:
        """Return every result of a data set; none where there is no such set."""
        return [result for result in self.by_folder.values() if result.dataset == dataset]

    def of(self, dataset: str, row: Row) -> list[Result]:
        """Return the results of a row of settings, one a seed.

        Raises
        ------
        UserError
            When there is none.
        """
        found = self.found(dataset, row)
        if not found:
            raise UserError(
                f"no {self.what} of {dataset_name(dataset)} with {described(row)}: train and "
                "evaluate it first"
            )
        return found

    def found(self, dataset: str, row: Row) -> list[Result]:
        """Return the results of a row of settings, as many seeds as there are."""
        folders = [training.folder for training in self.experiment.of(dataset, row)]
        return [self.by_folder[folder] for folder in folders if folder in self.by_folder]

    def with_trainings(self) -> Iterator[tuple[Training, Result]]:
        """Yield every training that there is a result of, and the result."""
        for training in self.experiment.all_trainings():
            if training.folder in self.by_folder:
                yield training, self.by_folder[training.folder]


def load(
    experiment: Experiment, name: str, read: Read[Result], *, optional: bool = False
) -> Results[Result]:
    """Read one file of every training.

    Parameters
    ----------
    experiment
        Tells where the trainings' folders are.
    name
        The file's name in these folders.
    read
        Makes a result of it.
    optional
        Whether files may be missing.

    Raises
    ------
    UserError
        When a file is missing, damaged or of another training, or the files of a data set mix real
        images and stand-ins.
    """
    found = {}
    for training in experiment.all_trainings():
        path = Path(training.folder, name)
        if not optional or path.exists():
            found[training.folder] = _read(path, training, read)
    for one, other in itertools.pairwise(found.values()):
        alike = (one.source, one.stand_in) == (other.source, other.stand_in)
        if one.dataset == other.dataset and not alike:
            raise UserError(
                f"{one.path} and {other.path} differ in the source of their images and cannot be "
                "compared: make both with one configuration"
            )
    return Results(experiment, Path(name).stem, found)


def _read(path: Path, training: Training, read: Read[Result]) -> Result:
    content = read_json(path)
    try:
        result = read(path, content)
    except KeyError as error:
        raise UserError(f"{path} lacks {error}: evaluate the model again") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if (result.dataset, result.settings) != (training.dataset, training.settings):
        raise UserError(f"{path} is of another training: run the workflow again")
    return result


def load_runs(experiment: Experiment) -> Results[Run]:
    """Read the metrics of all trainings; raises as `load`."""
    return load(experiment, "metrics.json", run)


def run(path: Path, content: dict[str, Any]) -> Run:
    """Return what a metrics file says."""
    names = [name for name in SPLIT_ORDER if name in content["splits"]]
    splits = {name: _split(content["splits"][name]) for name in names}
    return Run(path, **read_identity(content), splits=splits)


def _split(content: dict[str, Any]) -> SplitMetrics:
    return SplitMetrics(
        images=content["images"],
        reconstruction_error=content["reconstruction_error"],
        kl=content["kl"],
        kl_per_latent=tuple(content["kl_per_latent"]),
    )
