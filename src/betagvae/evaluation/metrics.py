"""Reconstruction error, KL divergence and codes of a trained model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from betagvae.data.arrays import ImageArray, open_array
from betagvae.errors import UserError
from betagvae.model import objective
from betagvae.model.device import DeviceImages, computing_in, generator, set_up
from betagvae.model.networks import VariationalAutoencoder
from betagvae.records.environment import surroundings
from betagvae.records.files import read_json, sha256, whole_file, write_json
from betagvae.records.identity import identity
from betagvae.settings.evaluation import EvaluationSettings

BATCH_SIZES = {"cpu": 64, "cuda": 1024}
"""Images at a time by device: more are no faster on a CPU, and few leave a GPU idle."""


def load_model(path: Path, device: torch.device) -> tuple[VariationalAutoencoder, dict[str, Any]]:
    """Return a trained model and the record that training wrote beside it.

    Raises
    ------
    UserError
        When the weights are not those that training wrote: a disk or a cache has damaged them.
    """
    record = read_json(path.with_name("training.json"))
    if sha256(path) != record["weights"]["sha256"]:
        raise UserError(f"{path} is damaged: delete it and run the workflow again")
    settings = record["settings"]
    model = VariationalAutoencoder(
        settings["network"], record["data"]["channels"], settings["latents"]
    )
    model.load_state_dict(load_file(path))
    return model.to(device, memory_format=torch.channels_last).eval(), record


def load_model_of(
    array: ImageArray, path: Path, device: torch.device
) -> tuple[VariationalAutoencoder, dict[str, Any]]:
    """Return model and record as `load_model`; one trained on other images is refused."""
    model, record = load_model(path, device)
    if record["data"]["hashes"]["array"] != array.metadata["hashes"]["array"]:
        name = f"{array.dataset} ({array.source})"
        raise UserError(f"{path} was not trained on these images of {name}: train it again")
    return model, record


def evaluate(
    data: Path, model_path: Path, settings: EvaluationSettings, *, metrics: Path, codes: Path
) -> None:
    """Write the metrics of every split as JSON and the codes as safetensors.

    The codes file holds `indices` N and the posterior's `mean` and `log_variance`, each N×L.
    """
    device = set_up(settings.threads, settings.precision)
    array = open_array(data)
    model, record = load_model_of(array, model_path, device)
    if device.type == "cuda":
        # Imported here, since Triton exists for Linux alone.
        from betagvae.model.stacked import stack

        model = stack([model], device, settings.precision)
    images = DeviceImages(array, device)
    splits, encoded = {}, []
    for name, split in array.splits.items():
        indices_n, measured_m = _chosen(split, name, settings)
        codes_of_split = Codes(model, images, indices_n)
        splits[name] = evaluate_split(
            codes_of_split,
            torch.isin(indices_n, measured_m),
            model.likelihood(record["settings"]["likelihood"]),
            generator(settings.seed, f"posterior {name}", device),
            settings,
        )
        encoded.append((indices_n, *(moment_nl.cpu() for moment_nl in codes_of_split.moments)))
    with whole_file(codes) as part:
        names = ("indices", "mean", "log_variance")
        tensors = (torch.cat(parts) for parts in zip(*encoded, strict=True))
        save_file(dict(zip(names, tensors, strict=True)), part)
    content = {
        **identity_of(array, record),
        "precision": settings.precision,
        "splits": splits,
        "surroundings": surroundings(),
    }
    write_json(metrics, content)


@torch.inference_mode()
def evaluate_split(
    codes: "Codes",
    measured_n: Tensor,
    likelihood: Callable[[Tensor, Tensor], Tensor],
    noise: torch.Generator,
    settings: EvaluationSettings,
) -> dict[str, Any]:
    """Encode all images of a split and measure those that are chosen.

    Parameters
    ----------
    codes
        What is filled, of N images.
    measured_n
        Which of them to decode and measure as well; N booleans.
    likelihood
        One of `objective.LIKELIHOODS`.
    noise
        Where the samples of the posteriors come from.
    settings
        Batches and precision.

    Returns
    -------
    dict
        How many images were measured, and their mean reconstruction error, KL divergence and KL
        divergence of each latent, as `objective` defines them.
    """
    device = codes.images.device
    batch_size = settings.batch_size or BATCH_SIZES[device.type]
    with computing_in(settings.precision, device):
        for rows_b in _rows(~measured_n, device).split(batch_size):
            codes.encode(rows_b)
        return _measure(codes, _rows(measured_n, device), likelihood, noise, batch_size)


def identity_of(array: ImageArray, record: dict[str, Any]) -> dict[str, Any]:
    """Return what tells in a result file which training it is about."""
    return identity(array.metadata, record["settings"])


def _chosen(split: range, name: str, settings: EvaluationSettings) -> tuple[Tensor, Tensor]:
    """Return the indices to encode, N, and those of them to measure, M, both ascending."""
    encoded, measured = settings.encoded_images, settings.images
    if encoded is not None and measured is not None and measured > encoded:
        raise UserError(
            f"evaluation.images is {measured:,} and evaluation.encoded_images {encoded:,}: "
            "only encoded images can be measured, so raise the latter"
        )
    order = random_order(split, generator(settings.seed, f"images {name}"))[:encoded]
    return order.sort().values, order[:measured].sort().values


def random_order(split: range, generator: torch.Generator) -> Tensor:
    """Return all indices of a split in random order."""
    return torch.randperm(len(split), generator=generator) + split.start


def _rows(chosen_n: Tensor, device: torch.device) -> Tensor:
    """Return the positions that are chosen, ascending."""
    return chosen_n.nonzero().squeeze(1).to(device)


class Codes:
    """The posterior's mean and log variance of images, each N×L, filled batch by batch.

    In memory that is there from the start: results kept batch by batch lie between the batches'
    images and keep their memory from being used again, 10 GB of it for dSprites.
    """

    def __init__(
        self, model: VariationalAutoencoder, images: DeviceImages, indices_n: Tensor
    ) -> None:
        self.model, self.images = model, images
        self.indices_n = indices_n.to(images.device)
        self.latents = model.latents
        shape = (len(indices_n), self.latents)
        self.moments = tuple(torch.empty(shape, device=images.device) for _ in range(2))

    def encode(self, rows_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the images of some rows; return them, B×C×64×64, and their moments, each B×L."""
        x_bchw = self.images.batch(self.indices_n[rows_b])
        mean_bl, log_variance_bl = self.model.encoder(x_bchw)
        for moment_nl, moment_bl in zip(self.moments, (mean_bl, log_variance_bl), strict=True):
            moment_nl[rows_b] = moment_bl
        return x_bchw, mean_bl, log_variance_bl


def _measure(
    codes: Codes,
    rows_m: Tensor,
    likelihood: Callable[[Tensor, Tensor], Tensor],
    noise: torch.Generator,
    batch_size: int,
) -> dict[str, Any]:
    """Encode the images of some rows, decode a sample of each posterior; return the metrics."""
    device = rows_m.device
    # All at once, so that the sample does not depend on the size of the batches.
    noise_ml = torch.randn((len(rows_m), codes.latents), generator=noise, device=device)
    total = torch.zeros(1 + codes.latents, dtype=torch.float64, device=device)
    for rows_b, noise_bl in zip(rows_m.split(batch_size), noise_ml.split(batch_size), strict=True):
        x_bchw, mean_bl, log_variance_bl = codes.encode(rows_b)
        z_bl = objective.sample_posterior(mean_bl, log_variance_bl, noise_bl)
        kl_bl = objective.kl_divergence_per_latent(mean_bl, log_variance_bl)
        error_b = likelihood(codes.model.decoder(z_bl), x_bchw)
        total += torch.cat([error_b[:, None], kl_bl], dim=1).sum(0)
    error, *kl_l = (total / len(rows_m)).tolist()
    return {
        "images": len(rows_m),
        "reconstruction_error": error,
        "kl": sum(kl_l),
        "kl_per_latent": kl_l,
    }
