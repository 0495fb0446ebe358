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

With `tc_density_ratio` a second batch of images goes through the encoder, by kernels of its own and
without a way back.

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

from betagvae.model.architecture import Layer, Layers, networks
from betagvae.model.device import PRECISIONS
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
    batch, code_bytes = settings.batch_size, settings.latents * value
    encoder, decoder, discriminator = networks(settings, channels)
    logits_bytes = decoder[-1].outputs.values * value
    kernels = [
        # Nobody needs the images' gradient.
        *_there_and_back(_passes("encoder", encoder, batch, value, image_bytes), 0),
        *_there_and_back(_passes("decoder", decoder, batch, value, code_bytes), batch),
        Kernel("likelihood", "likelihood", batch * (2 * logits_bytes + image_bytes), 0),
        _adam("autoencoder", encoder + decoder),
    ]
    if settings.tc_density_ratio:
        second = _passes("second batch's encoder", encoder, batch, value, image_bytes)
        kernels += [layer.forward() for layer in second]
    if discriminator:
        # The encoder's codes and as many others, whose gradient nobody needs.
        judged = _passes("discriminator", discriminator, 2 * batch, value, code_bytes)
        kernels += [*_there_and_back(judged, batch), _adam("discriminator", discriminator)]
    return kernels


@dataclass(frozen=True)
class _Passes:
    """A layer's kernels in a step."""

    name: str
    layer: Layer
    images: int
    """Or codes, that go through it."""
    value: int
    """Bytes of an activation or its gradient."""
    input_bytes: int
    """Of what is read of an image."""

    def forward(self) -> Kernel:
        """Input, weights and bias in; activations out."""
        parameters = FLOAT32 * (self.layer.weights + self.layer.biases)
        return self._kernel("forward", self.images, self.input_bytes, parameters)

    def weight_gradient(self) -> Kernel:
        """Input and the output's gradient in; what Adam makes of it is counted as Adam's."""
        return self._kernel("weight gradient", self.images, self.input_bytes, 0)

    def input_gradient(self, images: int, *, activated: bool) -> Kernel:
        """Output gradient, weights and, for the derivative, activations in; input gradient out."""
        inputs = (2 if activated else 1) * self.layer.inputs.values * self.value
        return self._kernel("input gradient", images, inputs, FLOAT32 * self.layer.weights)

    def _kernel(self, kind: str, images: int, input_bytes: int, parameter_bytes: int) -> Kernel:
        """Return one that moves inputs, outputs and parameters, in whichever direction."""
        maps = images * (input_bytes + self.layer.outputs.values * self.value)
        operations = 2 * images * self.layer.products
        return Kernel(self.name, kind, maps + parameter_bytes, operations)


def _passes(
    network: str, layers: Layers, images: int, value: int, input_bytes: int
) -> list[_Passes]:
    """Return a network's; its own input has so many bytes an image."""
    read = [input_bytes, *(layer.inputs.values * value for layer in layers[1:])]
    return [
        _Passes(f"{network} {i + 1}", layer, images, value, read[i])
        for i, layer in enumerate(layers)
    ]


def _there_and_back(network: Sequence[_Passes], wanted: int) -> Iterator[Kernel]:
    """Yield all kernels of a network, whose own input's gradient is wanted of so many images."""
    for i, layer in enumerate(network):
        yield layer.forward()
        if images := layer.images if i else wanted:
            yield layer.input_gradient(images, activated=i > 0)
        yield layer.weight_gradient()


def _adam(network: str, layers: Layers) -> Kernel:
    parameters = sum(layer.weights + layer.biases for layer in layers)
    return Kernel(network, "Adam", ADAM * parameters, 0)
