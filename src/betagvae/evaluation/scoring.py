"""The disentanglement scores of one run, from the codes that its evaluation wrote."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from betagvae.data.arrays import ImageArray, open_array
from betagvae.errors import UserError
from betagvae.evaluation.scores.registry import compute_scores
from betagvae.records.environment import surroundings
from betagvae.records.files import read_json, write_json
from betagvae.records.identity import identity
from betagvae.settings.scores import ScoreSettings


@dataclass(frozen=True)
class Codes:
    """The posteriors of the N images that were encoded."""

    indices_n: np.ndarray
    means_nl: np.ndarray
    log_variances_nl: np.ndarray


def score(data: Path, codes: Path, metrics: Path, output: Path, settings: ScoreSettings) -> None:
    """Write all scores that the data set allows: without known factors, the label-free ones.

    Parameters
    ----------
    data
        The data set's ``.npy``, for the factor classes of the images.
    codes, metrics
        What the evaluation of the run wrote.
    output
        JSON: the training's identity, the settings, the number of images and the scores.
    settings
        As for `betagvae.evaluation.scores.registry.compute_scores`.

    Raises
    ------
    UserError
        When the files do not belong together, or too few images were encoded for the sizes.
    """
    array, run = open_array(data), _identity(metrics)
    if (run["dataset"], run["source"]) != (array.dataset, array.source):
        raise UserError(f"{metrics} is not about the images of {data}: evaluate the model again")
    encoded = read_codes(codes, array)
    known = bool(array.factor_names)
    scores = compute_scores(
        encoded.means_nl,
        encoded.log_variances_nl,
        array.factor_classes(encoded.indices_n) if known else None,
        array.factor_sizes if known else None,
        settings,
    )
    content = {"images": len(encoded.indices_n), "settings": asdict(settings)}
    write_json(output, {**run, **content, "scores": scores, "surroundings": surroundings()})


def _identity(metrics: Path) -> dict[str, Any]:
    content = read_json(metrics)
    try:
        return identity(content, content["training"])
    except KeyError as error:
        raise UserError(f"{metrics} lacks {error}: evaluate the model again") from error


def read_codes(path: Path, array: ImageArray) -> Codes:
    """Read a codes file and check that it is about the images of the array."""
    try:
        tensors = load_file(path)
        codes = Codes(tensors["indices"], tensors["mean"], tensors["log_variance"])
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(f"cannot read {path} ({error}): evaluate the model again") from error
    indices_n = codes.indices_n
    whole = len(indices_n) == len(codes.means_nl) == len(np.unique(indices_n))
    if not whole or indices_n.min() < 0 or indices_n.max() >= len(array):
        raise UserError(f"{path} is not about {len(array):,} images: evaluate the model again")
    return codes
