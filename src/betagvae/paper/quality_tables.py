"""The tables of image quality."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from betagvae.errors import UserError
from betagvae.evaluation.quantities import Quantity
from betagvae.experiment import Experiment
from betagvae.records.identity import read_identity
from betagvae.results.runs import load
from betagvae.results.summary import Judged, write_tables
from betagvae.settings.quality import NETWORKS

CAPTION = "Image quality of the methods: reconstructions, and samples from the prior"

FRECHET = {
    "frechet_reconstruction": "Fréchet distance of reconstructions",
    "frechet_sample": "Fréchet distance of samples",
}
"""Numbers that depend on the feature network, whose name they get."""

NUMBERS = {
    "ssim_reconstruction": Quantity("SSIM of reconstructions", "higher", -1, 1),
    "sharpness_reconstruction": Quantity("Sharpness of reconstructions", "near 1", 0, None),
    "sharpness_sample": Quantity("Sharpness of samples", "near 1", 0, None),
}
"""Numbers that do not."""


@dataclass(frozen=True)
class _Looked(Judged):
    features: str


def quality_tables(experiment: Experiment, level: float, outputs: Sequence[Path]) -> None:
    """Write ``quality.csv``, a row a number and training, and ``.md`` and ``.tex``, over seeds.

    Raises
    ------
    UserError
        When a file is damaged, trainings cannot be compared (another feature network is a reason)
        or a data set lacks a method.
    """
    results = load(experiment, "quality.json", _read)
    networks = sorted({one.features for one in results.by_folder.values()})
    if len(networks) > 1:
        raise UserError(
            f"the files have distances by {' and '.join(networks)}, which cannot be compared: "
            "judge all trainings by one network"
        )
    quantities = {
        _named(name, networks[0]): Quantity(f"{label} ({networks[0]})", "lower", 0, None)
        for name, label in FRECHET.items()
    } | NUMBERS
    notes = _notes(networks[0])
    write_tables(results, quantities, level, outputs, caption=CAPTION, notes=notes)


def _named(name: str, features: str) -> str:
    """Return the name of a number; a distance has its network's in it."""
    return f"{name}_{features}" if name in FRECHET else name


def _read(path: Path, content: dict[str, Any]) -> _Looked:
    features = content["features"]
    return _Looked(
        path,
        **read_identity(content),
        images=content["images"],
        values={_named(name, features): content[name] for name in (*FRECHET, *NUMBERS)},
        features=features,
    )


def _notes(features: str) -> str:
    return (
        "The Fréchet distance is between sets of images of the held-out split (dSprites has none: "
        "of all images) and as many reconstructions or samples, by "
        f"{NETWORKS[features]}. It is overestimated the more, the fewer the images: "
        "compare equal numbers only. Reconstructions decode the posterior's mean. SSIM compares "
        "each with its image. Sharpness is the variance of the Laplacian over that of the data: 1 "
        "is as sharp as the data, less is blurred, more is noisy."
    )
