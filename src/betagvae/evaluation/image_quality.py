"""How good the images of a trained model look: reconstructions and samples from the prior.

Fréchet distance, SSIM and sharpness answer different questions. The distance compares sets, by
what a network sees in them; it hardly notices a sharp reconstruction of the wrong image, which
SSIM does, pair by pair and on one scale for every likelihood. Neither says which way an image is
off; sharpness does for blur, by which models of this kind are known.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.image import FrechetInceptionDistance

from betagvae.data.arrays import ImageArray, open_array
from betagvae.errors import UserError
from betagvae.evaluation.feature_networks import NETWORKS
from betagvae.evaluation.metrics import identity_of, load_model_of, random_order
from betagvae.model.device import DeviceImages, generator, set_up
from betagvae.model.networks import VariationalAutoencoder
from betagvae.records.environment import surroundings
from betagvae.records.files import write_json
from betagvae.settings.quality import QualitySettings


@torch.no_grad()
def judge(
    data: Path,
    model_path: Path,
    settings: QualitySettings,
    *,
    weights: Path | None = None,
    output: Path,
) -> None:
    """Write the numbers of one model as JSON; `weights` are the feature network's, if of a file.

    Reconstructions decode the posterior's mean and are compared with the very images that were
    encoded; samples decode draws from the prior and are as many. All are rounded to 8 bits
    first, as what is looked at is.

    ``frechet_reconstruction``, ``frechet_sample``
        Fréchet distance from the data (Heusel et al. 2017), 0 or more, squared units of the
        features. Estimates are biased upwards, the more the fewer the images.
    ``ssim_reconstruction``
        Structural similarity (Wang et al. 2004), −1..1, mean over images.
    ``sharpness_data``
        `sharpness`, mean over images.
    ``sharpness_reconstruction``, ``sharpness_sample``
        The same, divided by ``sharpness_data``: 1 is as sharp as the data.

    Raises
    ------
    UserError
        When model and data do not belong together, the model's images are not finite, or the
        split is too small.
    """
    device = set_up(settings.threads)
    array = open_array(data)
    model, record = load_model_of(array, model_path, device)
    split, indices_n = _held_out(array, settings)
    distance = NETWORKS[settings.features](weights).to(device)
    batches = indices_n.to(device).split(settings.batch_size)
    numbers = _of_reconstructions(model, DeviceImages(array, device), batches, distance)
    distance.reset()
    noise = generator(settings.seed, "prior")
    z_nl = torch.randn(len(indices_n), record["settings"]["latents"], generator=noise)
    numbers |= _of_samples(model, z_nl.to(device).split(settings.batch_size), distance)
    for name in ("sharpness_reconstruction", "sharpness_sample"):
        numbers[name] /= numbers["sharpness_data"]
    content = {"features": settings.features, "split": split, "images": len(indices_n)}
    content |= {**numbers, "surroundings": surroundings()}
    write_json(output, {**identity_of(array, record), **content})


def _of_reconstructions(
    model: VariationalAutoencoder,
    images: DeviceImages,
    batches: Sequence[Tensor],
    distance: FrechetInceptionDistance,
) -> dict[str, float]:
    """Add the data as real and their reconstructions as generated images; return the numbers."""
    totals = dict.fromkeys(
        ("ssim_reconstruction", "sharpness_data", "sharpness_reconstruction"), 0.0
    )
    for batch in batches:
        x_bchw = images.batch(batch)
        reconstruction_bchw = _visible(model, model.encoder(x_bchw)[0])
        _add(distance, x_bchw, real=True)
        _add(distance, reconstruction_bchw, real=False)
        totals["ssim_reconstruction"] += _ssim(reconstruction_bchw, x_bchw)
        totals["sharpness_data"] += float(sharpness(x_bchw).sum())
        totals["sharpness_reconstruction"] += float(sharpness(reconstruction_bchw).sum())
    means = {name: total / sum(map(len, batches)) for name, total in totals.items()}
    return {"frechet_reconstruction": float(distance.compute()), **means}


def _of_samples(
    model: VariationalAutoencoder, codes: Sequence[Tensor], distance: FrechetInceptionDistance
) -> dict[str, float]:
    """Add the images of the codes as generated ones; return the numbers."""
    total = 0.0
    for z_bl in codes:
        sample_bchw = _visible(model, z_bl)
        _add(distance, sample_bchw, real=False)
        total += float(sharpness(sample_bchw).sum())
    return {
        "frechet_sample": float(distance.compute()),
        "sharpness_sample": total / sum(map(len, codes)),
    }


def _held_out(array: ImageArray, settings: QualitySettings) -> tuple[str, Tensor]:
    """Return the name of the held-out split and the indices to look at, N, ascending."""
    name = array.held_out
    order = random_order(array.splits[name], generator(settings.seed, f"quality {name}"))
    if min(len(order), settings.images) < 2:
        raise UserError(
            f"the split {name} of {array.dataset} has {len(order)} images, and quality.images is "
            f"{settings.images}: a distance between sets needs two images at least"
        )
    return name, order[: settings.images].sort().values


def _visible(model: VariationalAutoencoder, z_bl: Tensor) -> Tensor:
    """Return the images of codes as they are looked at, in steps of 1/255, B×C×64×64."""
    x_bchw = torch.sigmoid(model.decoder(z_bl))
    if not x_bchw.isfinite().all():
        raise UserError("the model's images hold NaN: its training diverged")
    return (x_bchw * 255).round() / 255


def _add(distance: FrechetInceptionDistance, x_bchw: Tensor, *, real: bool) -> None:
    """Add images in [0, 1] to a set; grey ones have three equal channels for the network."""
    bytes_bchw = (x_bchw * 255).round().to(torch.uint8)
    distance.update(bytes_bchw.expand(-1, 3, -1, -1), real=real)


def _ssim(reconstruction_bchw: Tensor, x_bchw: Tensor) -> float:
    """Return the sum over images."""
    ssim_b = structural_similarity_index_measure(
        reconstruction_bchw, x_bchw, data_range=1.0, reduction="none"
    )
    return float(ssim_b.double().sum())


def sharpness(x_bchw: Tensor) -> Tensor:
    """Return the variance over pixels of the Laplacian of the mean channel, B.

    Pech-Pacheco et al. 2000 ("Diatom autofocusing in brightfield microscopy"): falls with blur,
    rises with noise. Pixels at the border, which lack a neighbour, have no Laplacian.
    """
    x_bhw = x_bchw.double().mean(1)
    middle_bhw = x_bhw[:, 1:-1, 1:-1]
    rows_bhw = x_bhw[:, :-2, 1:-1] + x_bhw[:, 2:, 1:-1]
    columns_bhw = x_bhw[:, 1:-1, :-2] + x_bhw[:, 1:-1, 2:]
    return (rows_bhw + columns_bhw - 4 * middle_bhw).flatten(1).var(1)
