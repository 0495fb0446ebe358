"""Reconstruction error, KL divergence and codes of a trained model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from betagvae import objective
from betagvae.arrays import ImageArray, open_array
from betagvae.device import DeviceImages, generator, set_up
from betagvae.errors import UserError
from betagvae.files import read_json, sha256, whole_file, write_json
from betagvae.networks import VariationalAutoencoder


@dataclass(frozen=True)
class EvaluationSettings:
    """What the numbers depend on besides model and data."""

    batch_size: int
    threads: int
    images: int | None = None
    """Images of each split to look at, drawn at random; None means all."""
    seed: int = 0


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


@torch.no_grad()
def evaluate(
    data: Path, model_path: Path, settings: EvaluationSettings, *, metrics: Path, codes: Path
) -> None:
    """Write the metrics of every split as JSON and the codes as safetensors.

    The codes file holds `indices` N and the posterior's `mean` and `log_variance`, each N×L.
    """
    device = set_up(settings.threads)
    array = open_array(data)
    model, record = load_model(model_path, device)
    if record["data"]["hashes"]["array"] != array.metadata["hashes"]["array"]:
        raise UserError(f"{model_path} was not trained on {data}: train it again")
    images = DeviceImages(array, device)
    likelihood = record["settings"]["likelihood"]
    splits, encoded = {}, []
    for name, split in array.splits.items():
        indices = _chosen(split, name, settings)
        noise = generator(settings.seed, f"posterior {name}", device)
        splits[name], mean_nl, log_variance_nl = _evaluate_split(
            model, images, indices, objective.LIKELIHOODS[likelihood], noise, settings.batch_size
        )
        encoded.append((indices, mean_nl, log_variance_nl))
    with whole_file(codes) as part:
        names = ("indices", "mean", "log_variance")
        tensors = (torch.cat(parts) for parts in zip(*encoded, strict=True))
        save_file(dict(zip(names, tensors, strict=True)), part)
    write_json(metrics, {**_identity(array, record), "splits": splits})


def _identity(array: ImageArray, record: dict[str, Any]) -> dict[str, Any]:
    names = ("likelihood", "beta", "gamma", "seed", "steps")
    return {
        "dataset": array.dataset,
        "source": array.source,
        "stand_in": array.stand_in,
        **{name: record["settings"][name] for name in names},
    }


def _chosen(split: range, name: str, settings: EvaluationSettings) -> Tensor:
    """Return the indices to look at, N, ascending."""
    if settings.images is None or settings.images >= len(split):
        return torch.arange(split.start, split.stop)
    order = generator(settings.seed, f"images {name}")
    chosen = torch.randperm(len(split), generator=order)[: settings.images]
    return chosen.sort().values + split.start


def _evaluate_split(
    model: VariationalAutoencoder,
    images: DeviceImages,
    indices_n: Tensor,
    likelihood: Callable[[Tensor, Tensor], Tensor],
    noise: torch.Generator,
    batch_size: int,
) -> tuple[dict[str, Any], Tensor, Tensor]:
    """Return the split's metrics, posterior means and log variances (each N×L)."""
    sums, means, log_variances = [], [], []
    for batch in indices_n.to(images.device).split(batch_size):
        x_bchw = images.batch(batch)
        mean_bl, log_variance_bl = model.encoder(x_bchw)
        noise_bl = torch.randn(mean_bl.shape, generator=noise, device=images.device)
        z_bl = objective.sample_posterior(mean_bl, log_variance_bl, noise_bl)
        kl_bl = objective.kl_divergence_per_latent(mean_bl, log_variance_bl)
        errors = [likelihood(model.decoder(code), x_bchw).sum(0) for code in (z_bl, mean_bl)]
        sums.append(torch.cat([torch.stack(errors), kl_bl.sum(0)]).double())
        means.append(mean_bl)
        log_variances.append(log_variance_bl)
    error, error_of_mean, *kl_l = (torch.stack(sums).sum(0) / len(indices_n)).tolist()
    result = {
        "images": len(indices_n),
        "reconstruction_error": error,
        "kl": sum(kl_l),
        "kl_per_latent": kl_l,
        "reconstruction_error_of_mean_code": error_of_mean,
    }
    return result, torch.cat(means).cpu(), torch.cat(log_variances).cpu()
