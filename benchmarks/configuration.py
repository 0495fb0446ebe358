"""The paper's configuration, as the workflow reads it, and the commands that follow from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from betagvae.settings.training import TrainingSettings

_FILE = Path(__file__).parents[1] / "config" / "config.yaml"


def configuration(changes: Path | None = None) -> dict[str, Any]:
    """Return ``config/config.yaml``, changed by another file as `snakemake --configfile` does."""
    configured = _read(_FILE)
    return _merged(configured, _read(changes)) if changes else configured


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(old)
    for key, value in new.items():
        nested = isinstance(value, Mapping) and isinstance(old.get(key), Mapping)
        both[key] = _merged(old[key], value) if nested else value
    return both


def training_settings(dataset: str, method: str, **changes: object) -> TrainingSettings:
    """Return the settings of a method on a data set, with changes; seed 0 unless it is changed."""
    configured = configuration()
    return TrainingSettings(
        **{
            "seed": 0,
            **configured["training"],
            **configured["datasets"][dataset]["training"],
            **configured["methods"][method],
            **changes,
        }
    )


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Return a section of the configuration as flags of `betagvae`; null leaves one out."""
    words = []
    for key, value in settings.items():
        values = value if isinstance(value, list) else [value]
        if value is not None and values:
            words += ["--" + key.replace("_", "-"), *map(str, values)]
    return words


def array_path(configured: Mapping[str, Any], dataset: str) -> str:
    """Return where the workflow has a data set's images."""
    source = configured["datasets"][dataset]["source"]
    return f"{configured['data_dir']}/{dataset}.{source}.npy"


def data_command(configured: Mapping[str, Any], dataset: str) -> list[str]:
    """Return the words after `betagvae` that make a data set's images."""
    entry = configured["datasets"][dataset]
    settings = {"source": entry["source"], **configured["data"], **entry["data"]}
    return ["data", dataset, "--output", array_path(configured, dataset), *flags(settings)]


def run_settings(configured: Mapping[str, Any], dataset: str) -> dict[str, dict[str, Any]]:
    """Return the settings of a data set's trainings by folder, which is the workflow's.

    Methods with a discriminator come first.
    """
    methods = sorted(configured["methods"].values(), key=lambda weights: not weights["gamma"])
    root = f"{configured['results_dir']}/{configured['run']}/{dataset}"
    shared = {**configured["training"], **configured["datasets"][dataset]["training"]}
    return {
        f"{root}/beta{m['beta']:g}_gamma{m['gamma']:g}/seed{seed}": {**shared, **m, "seed": seed}
        for m in methods
        for seed in configured["seeds"]
    }


def training_command(configured: Mapping[str, Any], dataset: str) -> list[str]:
    """Return the words after `betagvae` that train every method with every seed, side by side."""
    runs = [
        f"{s['beta']:g},{s['gamma']:g},{s['seed']}={folder}"
        for folder, s in run_settings(configured, dataset).items()
    ]
    settings = {**configured["training"], **configured["datasets"][dataset]["training"]}
    return ["train", array_path(configured, dataset), "--runs", *runs, *flags(settings)]


def bench_command(configured: Mapping[str, Any], dataset: str, output: Path) -> list[str]:
    """Return the words after `betagvae` that measure the trainings of one data set."""
    training = json.dumps(configured["datasets"][dataset]["training"])
    methods = [f"{name}={m['beta']:g},{m['gamma']:g}" for name, m in configured["methods"].items()]
    settings = {
        **configured["training"],
        **configured["bench"],
        "seeds": configured["seeds"],
        "methods": methods,
        "datasets": [f"{dataset}={training}"],
        "output": str(output),
    }
    sweep = configured["table1"]
    if sweep and sweep["dataset"] == dataset:
        pairs = [f"{beta:g},{gamma:g}" for beta, gamma in sweep["pairs"]]
        settings |= {"table1": dataset, "pairs": pairs}
    return ["bench", *flags(settings)]
