"""Whether a GPU's memory holds a data set and the trainings that advance together on it."""

from collections.abc import Sequence

import torch
from torch import nn

from betagvae.data.arrays import SIDE, ImageArray
from betagvae.errors import UserError
from betagvae.model.networks import ARCHITECTURES, Discriminator, VariationalAutoencoder
from betagvae.settings.training import TrainingSettings

VALUE = 4
"""Bytes of a float32."""
COPIES = 7
"""Of the weights: these, their gradients and two moments; while the step is recorded, the state of
all trainings once more, which is weights and moments."""


def check_memory(
    array: ImageArray, settings: Sequence[TrainingSettings], device: torch.device
) -> None:
    """Raise `UserError` where a GPU has less memory free than data and trainings need, about.

    Without this, PyTorch would run out of memory in a trainer's first step, or in its epoch.
    """
    if device.type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(device)
    data, trainings = array.stored.nbytes, [training_bytes(array, each) for each in settings]
    if data + sum(trainings) <= free:
        return
    number = "1 training" if len(trainings) == 1 else f"{len(trainings)} trainings"
    fits = data + max(trainings) <= free
    raise UserError(
        f"the GPU has {_in_gib(free)} of memory free, and {array.dataset} with {number} needs "
        f"about {_in_gib(data + sum(trainings))}, {_in_gib(data)} of it for the images: "
        + ("lower trainings_per_job" if fits else "use a GPU with more memory")
    )


def training_bytes(array: ImageArray, settings: TrainingSettings) -> int:
    """Return about how many bytes of a GPU a training takes besides the data set.

    Sums and partial sums that a kernel leaves to the next are not counted: they are small.
    """
    s = settings
    with torch.device("meta"):  # Modules without memory.
        networks: list[nn.Module] = [VariationalAutoencoder(s.network, array.channels, s.latents)]
        if s.gamma:
            layers, units = s.discriminator_layers, s.discriminator_units
            networks.append(Discriminator(s.latents, layers, units))
    weights = sum(p.numel() for network in networks for p in network.parameters())
    # An epoch's order, 64 bits an image, and noise for the codes that the players see.
    epoch = len(array.splits["train"]) * (2 + s.latents * len(networks))
    # As many gradients as activations, although most are gone before the last are computed.
    activations = s.batch_size * 2 * _values_of_an_image(array, settings)
    return VALUE * (COPIES * weights + epoch + activations)


def _values_of_an_image(array: ImageArray, settings: TrainingSettings) -> int:
    """Return how many values of an image a step keeps for its way back."""
    architecture = ARCHITECTURES[settings.network]
    sides = [SIDE >> halvings for halvings in range(1, len(architecture.convolutions) + 1)]
    maps = sum(s * s * width for s, width in zip(sides, architecture.convolutions, strict=True))
    pixels = SIDE * SIDE * (4 if array.channels == 3 else 1)  # As they lie in memory there.
    values = 2 * (maps + pixels + sum(architecture.hidden))
    if settings.gamma:
        # Of codes from the encoder and from the prior.
        values += 2 * settings.discriminator_layers * settings.discriminator_units
    return values


def _in_gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
