"""The data sets; to add one, write its module here and name it in `DATASETS`."""

import importlib
from pathlib import Path

from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

__all__ = ["DATASETS", "DataSettings", "make_dataset"]

DATASETS = ("celeba", "chairs3d", "dsprites")


def make_dataset(name: str, output: Path, settings: DataSettings) -> None:
    """Make ``output`` (an ``.npy``) and the JSON beside it.

    Raises
    ------
    UserError
        When there is no such data set, or its source cannot be had or read.
    """
    if name not in DATASETS:
        raise UserError(f"no data set {name!r}: choose one of {', '.join(DATASETS)}")
    if settings.source not in ("drawn", "original"):
        raise UserError(f"no source {settings.source!r} for {name}: choose drawn or original")
    # By name, so that a change in one data set's module concerns that data set only.
    importlib.import_module(f"betagvae.data.{name}").make(output, settings)
