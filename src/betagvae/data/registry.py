"""The data sets; to add one, write its module here and name it in `DATASETS`."""

import importlib
from pathlib import Path

from betagvae.data.dataset import Dataset
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

DATASETS: tuple[str, ...] = ("celeba", "chairs3d", "dsprites")
"""Names of the modules, each with a `DATASET`."""


def dataset(name: str) -> Dataset:
    """Return what a data set's module declares.

    Raises
    ------
    UserError
        When there is no such data set.
    """
    if name not in DATASETS:
        raise UserError(f"no data set {name!r}: choose one of {', '.join(DATASETS)}")
    # By name, so that a change in one data set's module concerns that data set only.
    return importlib.import_module(f"betagvae.data.{name}").DATASET


def make_dataset(name: str, output: Path, settings: DataSettings) -> None:
    """Make ``output`` (an ``.npy``) and the JSON beside it.

    Raises
    ------
    UserError
        When there is no such data set, it has no such source, or that cannot be had or read.
    """
    found = dataset(name)
    if settings.source not in found.sources:
        raise UserError(
            f"no source {settings.source!r} for {name}: choose {' or '.join(found.sources)}"
        )
    found.make(output, settings)
