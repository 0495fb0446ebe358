"""An experiment, and the files of its trainings as the stages write them, with made-up numbers."""

import json
from dataclasses import asdict
from pathlib import Path

from betagvae.data.registry import dataset as described
from betagvae.experiment import Experiment, row_of_pair
from betagvae.records.identity import identity

STAND_IN = {"source": "drawn", "stand_in": True}
METHODS = {
    "VAE": {"beta": 1, "gamma": 0},
    "β-VAE": {"beta": 4, "gamma": 0},
    "β-GVAE": {"beta": 4, "gamma": 10},
}
IMAGES = {"train": 162_770, "test": 19_962}


def experiment(folder, methods=METHODS, *, datasets=("celeba",), seeds=(0, 1), pairs=(), **shared):
    """Return an experiment under `folder`: the methods, on data sets that share settings.

    A method is a row, or (β, γ). Table 1's data set is the first.
    """
    rows = {name: row_of(row) for name, row in methods.items()}
    own = {name: {"likelihood": described(name).likelihood, **shared} for name in datasets}
    swept = datasets[0] if pairs else None
    return Experiment(str(folder), tuple(seeds), rows, own, swept, tuple(pairs))


def row_of(method):
    return row_of_pair(method) if isinstance(method, tuple) else method


def training(e, dataset, method, seed):
    """Return the training of a method, by name, row or (β, γ)."""
    row = e.methods[method] if isinstance(method, str) else row_of(method)
    (found,) = [t for t in e.of(dataset, row) if t.settings.seed == seed]
    return found


def data_of(dataset):
    """Say what a file does of the real images."""
    source = "drawn" if dataset == "dsprites" else "original"
    return {"dataset": dataset, "source": source, "stand_in": False}


def write(e, name, dataset, method, seed, content, changes=None):
    """Write a file of one training, with its identity; return the path."""
    one = training(e, dataset, method, seed)
    path = Path(one.folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = identity(data_of(dataset), asdict(one.settings))
    path.write_text(json.dumps({**known, **content, **(changes or {})}), encoding="utf-8")
    return path


def write_metrics(e, dataset, method, seed, error, kl, /, **changes):
    """Write metrics whose train split is 10 worse in error; nothing of dSprites is held out."""
    splits = {
        name: {
            "images": IMAGES[name],
            "reconstruction_error": error + shift,
            "kl": kl,
            "kl_per_latent": [kl, 0.0],
        }
        for name, shift in (("train", 10), ("test", 0))
    }
    if dataset == "dsprites":
        del splits["test"]
    return write(e, "metrics.json", dataset, method, seed, {"splits": splits}, changes)


def write_scores(e, dataset, method, seed, scores, /, **changes):
    return write(e, "scores.json", dataset, method, seed, {"scores": scores}, changes)


def write_quality(e, dataset, method, seed, numbers, /, **changes):
    content = {"features": "inception_v3", "images": 10_000, "split": "test", **numbers}
    return write(e, "quality.json", dataset, method, seed, content, changes)
