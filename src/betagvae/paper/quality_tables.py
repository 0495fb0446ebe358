"""The tables of image quality."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from betagvae.errors import UserError
from betagvae.results.identity import identity
from betagvae.results.quantities import Quantity
from betagvae.results.runs import load_results
from betagvae.results.summary import Judged, Methods, write_tables

CAPTION = "Image quality of the methods: reconstructions, and samples from the prior"

NETWORKS = {
    "inception_v3": "the 2,048 features of Inception-v3 at 299×299, by which FID is defined",
    "efficientnet_lite0": (
        "320 features of EfficientNet-Lite0 (ImageNet) at 64×64, which is not FID and cannot be "
        "compared with published FIDs"
    ),
}
"""What each feature network of `betagvae.evaluation.feature_networks` is."""

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


def quality_tables(
    quality: Sequence[Path], methods: Methods, level: float, outputs: Sequence[Path]
) -> None:
    """Write ``quality.csv``, a row a number and run, and ``.md`` and ``.tex``, methods over seeds.

    Raises
    ------
    UserError
        When a file is damaged, runs cannot be compared (another feature network is a reason) or a
        data set lacks a method.
    """
    runs = load_results(quality, _read)
    networks = sorted({run.features for run in runs})
    if len(networks) > 1:
        raise UserError(
            f"the files have distances by {' and '.join(networks)}, which cannot be compared: "
            "judge all runs by one network"
        )
    quantities = {
        _named(name, networks[0]): Quantity(f"{label} ({networks[0]})", "lower", 0, None)
        for name, label in FRECHET.items()
    } | NUMBERS
    notes = _notes(networks[0])
    write_tables(runs, methods, quantities, level, outputs, caption=CAPTION, notes=notes)


def _named(name: str, features: str) -> str:
    """Return the name of a number; a distance has its network's in it."""
    return f"{name}_{features}" if name in FRECHET else name


def _read(path: Path, content: dict[str, Any]) -> _Looked:
    features = content["features"]
    return _Looked(
        path,
        **identity(content),
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
