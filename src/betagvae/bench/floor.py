"""The least that a step must move through a GPU's memory and compute, kernel by kernel.

Bytes
-----
A kernel is a layer's forward pass, its gradient for the input, its gradient for the weights, or the
likelihood. It reads each of its inputs once from memory and writes each of its outputs once: the
feature maps of a batch of all stacked trainings together are taken to be larger than the GPU's L2
cache, so that no kernel finds there what another one left. (Of few trainings they are not, and a
kernel may then be faster than its floor. The largest maps are most of the bytes.)

What a kernel can keep on the chip is not counted:

- Bias and activation are part of the forward pass; the activation's derivative is part of the
  gradient for the input, which reads the activations for it.
- The likelihood and its gradient for the logits are one kernel, since the gradient of the loss for
  an image's error is known beforehand: logits and images in, the logits' gradient out.
- Images have no kernel of their own: whatever sees them reads their stored bytes.
- Adam is part of the gradient for the weights, which never leaves the chip: it reads weight and
  both moments and writes the three, 24 bytes a parameter. Apart it would be 28, and 4 more to write
  the gradient. Weights are read once more by the forward pass and by the gradient for the input.
- One way back through the discriminator does for both players (`StackedDiscriminator`).

Activations and their gradients have the precision's size; weights and moments are float32. A few
values an image (errors, divergences, noise, rewards) are left out, as are partial sums, padding and
whatever a kernel reads twice. A kernel for several layers, or for both gradients of one, could move
less than this floor.

Operations
----------
Matrix products and convolutions, a multiplication and an addition apart, as in `arithmetic`; the
discriminator's are fewer than there, by the one way back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from betagvae.bench.arithmetic import plain_layers
from betagvae.data.arrays import SIDE
from betagvae.model.device import PRECISIONS
from betagvae.model.networks import Discriminator
from betagvae.settings.training import TrainingSettings

FLOAT32 = 4
ADAM = 6 * FLOAT32
"""Bytes a parameter: weight and two moments, read and written."""


@dataclass(frozen=True)
class Kernel:
    """What one kernel needs for a step of one training."""

    layer: str
    kind: str
    """``forward``, ``input gradient``, ``weight gradient``, ``likelihood`` or ``Adam``."""
    bytes_moved: int
    operations: int


@dataclass(frozen=True)
class Floor:
    """The most steps/s that memory and arithmetic allow, of all trainings together."""

    memory: float
    arithmetic: float

    @property
    def steps_per_second(self) -> float:
        """The rate at the larger of both times a step."""
        return min(self.memory, self.arithmetic)


def floor(kernels: Sequence[Kernel], bandwidth: float, products: float) -> Floor:
    """Return the floor of a step on a device.

    Parameters
    ----------
    kernels
        All of a step of one training.
    bandwidth
        Bytes/s that the device's memory moves, read and written bytes together.
    products
        Floating-point operations/s of a large matrix product.
    """
    return Floor(
        bandwidth / sum(kernel.bytes_moved for kernel in kernels),
        products / sum(kernel.operations for kernel in kernels),
    )


def step_kernels(settings: TrainingSettings, channels: int, image_bytes: int) -> list[Kernel]:
    """Count a step of one training; an image is stored in so many bytes."""
    value = PRECISIONS[settings.precision].dtype.itemsize
    batch = settings.batch_size
    with torch.device("meta"):
        networks = plain_layers(settings.network, channels, settings.latents)
        encoder = _layers("encoder", networks[0], torch.empty(1, channels, SIDE, SIDE))
        decoder = _layers("decoder", networks[1], torch.empty(1, settings.latents))
    kernels = list(_of_encoder(encoder, batch, value, image_bytes))
    kernels += _of_decoder(decoder, batch, value, image_bytes)
    kernels.append(_adam("autoencoder", [*encoder, *decoder]))
    if settings.gamma:
        kernels += _of_discriminator(settings, value)
    return kernels


@dataclass(frozen=True)
class _Layer:
    """A layer's numbers of values; inputs, outputs and products are those of one image."""

    name: str
    inputs: int
    outputs: int
    weights: int
    biases: int
    products: int
    """Multiplications of a weight and a value."""


def _layers(name: str, modules: nn.Sequential, x: Tensor) -> list[_Layer]:
    """Return the layers with weights that `x`, of one image, goes through."""
    found = []
    for module in modules:
        y = module(x)
        if parameters := list(module.parameters()):
            weights, biases = (parameter.numel() for parameter in parameters)
            # The smaller map's pixels see every weight once; a linear layer has one pixel.
            pixels = min(x[0, 0].numel(), y[0, 0].numel())
            sizes = (x.numel(), y.numel(), weights, biases, weights * pixels)
            found.append(_Layer(f"{name} {len(found) + 1}", *sizes))
        x = y
    return found


def _of_encoder(
    layers: Sequence[_Layer], batch: int, value: int, image_bytes: int
) -> Iterator[Kernel]:
    for i, layer in enumerate(layers):
        input_bytes = layer.inputs * value if i else image_bytes
        yield _forward(layer, batch, value, input_bytes)
        if i:  # Nobody needs the images' gradient.
            yield _input_gradient(layer, batch, value, activated=True)
        yield _weight_gradient(layer, batch, value, input_bytes)


def _of_decoder(
    layers: Sequence[_Layer], batch: int, value: int, image_bytes: int
) -> Iterator[Kernel]:
    for i, layer in enumerate(layers):
        yield _forward(layer, batch, value, layer.inputs * value)
        yield _input_gradient(layer, batch, value, activated=i > 0)
        yield _weight_gradient(layer, batch, value, layer.inputs * value)
    logits_bytes = layers[-1].outputs * value
    yield Kernel("likelihood", "likelihood", batch * (2 * logits_bytes + image_bytes), 0)


def _of_discriminator(settings: TrainingSettings, value: int) -> Iterator[Kernel]:
    """Yield the kernels for the encoder's codes and as many from the prior."""
    with torch.device("meta"):
        network = Discriminator(
            settings.latents, settings.discriminator_layers, settings.discriminator_units
        )
        layers = _layers("discriminator", network.layers, torch.empty(1, settings.latents))
    codes = 2 * settings.batch_size
    for i, layer in enumerate(layers):
        yield _forward(layer, codes, value, layer.inputs * value)
        # The codes' own gradient is the reward's, of the encoder's codes alone.
        needed = codes if i else settings.batch_size
        yield _input_gradient(layer, needed, value, activated=i > 0)
        yield _weight_gradient(layer, codes, value, layer.inputs * value)
    yield _adam("discriminator", layers)


def _forward(layer: _Layer, images: int, value: int, input_bytes: int) -> Kernel:
    """Input, weights and bias in; activations out."""
    maps = images * (input_bytes + layer.outputs * value)
    moved = maps + FLOAT32 * (layer.weights + layer.biases)
    return Kernel(layer.name, "forward", moved, 2 * images * layer.products)


def _input_gradient(layer: _Layer, images: int, value: int, *, activated: bool) -> Kernel:
    """Output gradient, weights and, for their derivative, activations in; input gradient out."""
    inputs = 2 * layer.inputs if activated else layer.inputs
    moved = images * (layer.outputs + inputs) * value + FLOAT32 * layer.weights
    return Kernel(layer.name, "input gradient", moved, 2 * images * layer.products)


def _weight_gradient(layer: _Layer, images: int, value: int, input_bytes: int) -> Kernel:
    """Input and the output's gradient in; what Adam makes of it is counted as Adam's."""
    moved = images * (input_bytes + layer.outputs * value)
    return Kernel(layer.name, "weight gradient", moved, 2 * images * layer.products)


def _adam(network: str, layers: Sequence[_Layer]) -> Kernel:
    parameters = sum(layer.weights + layer.biases for layer in layers)
    return Kernel(network, "Adam", ADAM * parameters, 0)
