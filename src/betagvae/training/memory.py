"""Whether a GPU's memory holds a data set and the trainings that advance together on it."""

from collections.abc import Sequence

import torch

from betagvae.data.arrays import ImageArray
from betagvae.errors import UserError
from betagvae.model.architecture import Layers, Networks, networks
from betagvae.model.objective import reference_of, terms_of
from betagvae.settings.training import TrainingSettings
from betagvae.training.batches import NOISE, ORDERS

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
    each, reference = networks(settings, array.channels), reference_of(terms_of(settings))
    weights = sum(layer.weights + layer.biases for layers in each for layer in layers)
    # As many gradients as activations, although most are gone before the last are computed. What a
    # second batch leaves there is gone before the first are: it takes only its images.
    of_image = 2 * _values_of_an_image(each) + (len(ORDERS[reference]) - 1) * _pixels(each)
    # An order has 64 bits an image.
    drawn = 2 * len(ORDERS[reference]) + settings.latents * len(NOISE[reference])
    epoch = len(array.splits["train"]) * drawn
    return VALUE * (COPIES * weights + epoch + settings.batch_size * of_image)


def _values_of_an_image(each: Networks) -> int:
    """Return how many values of an image a step keeps for its way back."""
    image_and_logits = 2 * _pixels(each)
    # The discriminator sees codes of two kinds.
    hidden = _activations(each.encoder + each.decoder) + 2 * _activations(each.discriminator)
    return image_and_logits + hidden


def _pixels(each: Networks) -> int:
    """Return the values of an image as it lies in a GPU's memory: three channels are padded."""
    channels, side = each.encoder[0].inputs
    return side**2 * (4 if channels == 3 else channels)


def _activations(layers: Layers) -> int:
    return sum(layer.outputs.values for layer in layers if layer.slope != 1)


def _in_gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
