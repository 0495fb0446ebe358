"""The paper's configuration, as the workflow reads it, and the commands that follow from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from betagvae.configuration import completed, shared_settings
from betagvae.experiment import Experiment, Training, from_configuration
from betagvae.settings.setting import flags, made
from betagvae.settings.training import TrainingSettings

_FILE = Path(__file__).parents[1] / "config" / "config.yaml"


def configuration(changes: Path | None = None) -> dict[str, Any]:
    """Return ``config/config.yaml``, changed by another file, with all defaults."""
    configured = _read(_FILE)
    return completed(_merged(configured, _read(changes)) if changes else configured)


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Change a configuration by another as `snakemake --configfile` does."""
    both = dict(old)
    for key, value in new.items():
        nested = isinstance(value, Mapping) and isinstance(old.get(key), Mapping)
        both[key] = _merged(old[key], value) if nested else value
    return both


def experiment(configured: Mapping[str, Any]) -> Experiment:
    """Return the trainings of a configuration."""
    return from_configuration(configured, shared_settings(configured))


def training_settings(dataset: str, method: str, **changes: object) -> TrainingSettings:
    """Return the settings of a method on a data set, with changes; seed 0 unless it is changed."""
    configured = configuration()
    shared, row = shared_settings(configured)[dataset], configured["methods"][method]
    return made(TrainingSettings, {"seed": 0, **shared, **row, **changes})


def array_path(configured: Mapping[str, Any], dataset: str) -> str:
    """Return where the workflow has a data set's images."""
    source = configured["datasets"][dataset]["source"]
    return f"{configured['data_dir']}/{dataset}.{source}.npy"


def data_command(configured: Mapping[str, Any], dataset: str) -> list[str]:
    """Return the words after `betagvae` that make a data set's images."""
    entry = configured["datasets"][dataset]
    settings = {"source": entry["source"], **configured["data"], **entry["data"]}
    return ["data", dataset, "--output", array_path(configured, dataset), *flags(settings)]


def trainings(configured: Mapping[str, Any], dataset: str) -> list[Training]:
    """Return the methods' trainings of a data set, those with a discriminator first."""
    found = experiment(configured).without_table1().trainings(dataset)
    return sorted(found, key=lambda training: not training.settings.adversarial)


def training_command(configured: Mapping[str, Any], dataset: str) -> list[str]:
    """Return the words after `betagvae` that train every method with every seed, side by side."""
    own = {training.folder: training.own for training in trainings(configured, dataset)}
    shared = flags(shared_settings(configured)[dataset])
    return ["train", array_path(configured, dataset), "--trainings", json.dumps(own), *shared]


def bench_command(configured: Mapping[str, Any], dataset: str, output: Path) -> list[str]:
    """Return the words after `betagvae` that measure the trainings of one data set."""
    on_one = experiment(configured).on(dataset).as_json()
    return ["bench", "--output", str(output), "--experiment", on_one, *flags(configured["bench"])]
