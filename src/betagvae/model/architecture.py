"""The architecture of every network, layer by layer, without what computes it.

From it follow the modules (`networks`), the layers of a stack (`stacked`), and what they hold and
compute (`betagvae.bench`, `betagvae.training.memory`).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from betagvae.settings.training import TrainingSettings

IMAGE_SIDE = 64
SMALLEST_MAP = 4
"""Side of the feature maps beyond which layers are fully connected, pixels."""
KERNEL_SIDE = 4
"""Of every convolution; its stride is 2, and its padding 1."""


class Features(NamedTuple):
    """What a layer takes or gives of an image: square maps, of one pixel where it is a vector."""

    channels: int
    side: int = 1

    @property
    def values(self) -> int:
        """Channels times pixels."""
        return self.channels * self.side**2


class Kind(Enum):
    """How a layer's output depends on its input."""

    LINEAR = "every value on every value"
    CONVOLUTION = "a pixel on a window of twice the side"
    UP_CONVOLUTION = "transposed: a window of twice the side on a pixel"


@dataclass(frozen=True)
class Layer:
    """Weighted sums of features, a bias, and an activation."""

    inputs: Features
    outputs: Features
    slope: float
    """Of the activation below 0: 0 is a ReLU, 0.2 a leaky ReLU, and 1 none."""

    @property
    def kind(self) -> Kind:
        """What leads to or from a vector is linear, the rest halves or doubles the side."""
        if 1 in (self.inputs.side, self.outputs.side):
            return Kind.LINEAR
        halves = self.inputs.side > self.outputs.side
        return Kind.CONVOLUTION if halves else Kind.UP_CONVOLUTION

    @property
    def weights(self) -> int:
        """Number of weights."""
        if self.kind is Kind.LINEAR:
            return self.inputs.values * self.outputs.values
        return self.inputs.channels * self.outputs.channels * KERNEL_SIDE**2

    @property
    def biases(self) -> int:
        """Number of biases."""
        return self.outputs.values if self.kind is Kind.LINEAR else self.outputs.channels

    @property
    def products(self) -> int:
        """Multiplications of a weight and a value, of one image."""
        # The smaller map's pixels see every weight once, those outside the larger map included.
        return self.weights * min(self.inputs.side, self.outputs.side) ** 2


Layers = tuple[Layer, ...]

ARCHITECTURES = {
    # Higgins et al. 2017 (β-VAE), table 1: the network for CelebA and 3D Chairs.
    "higgins": (
        *(Features(32, 32), Features(32, 16), Features(64, 8), Features(64, SMALLEST_MAP)),
        Features(256),
    ),
    # Burgess et al. 2018 (Understanding disentangling in β-VAE), appendix A.
    "burgess": (
        *(Features(32, 32), Features(32, 16), Features(32, 8), Features(32, SMALLEST_MAP)),
        *(Features(256), Features(256)),
    ),
}
"""Hidden features of the encoder; the decoder's are the same backwards."""


def encoder(network: str, channels: int, latents: int) -> Layers:
    """Return the layers from an image to the posterior's means and log variances."""
    image, posterior = Features(channels, IMAGE_SIDE), Features(2 * latents)
    return _chain([image, *ARCHITECTURES[network], posterior], 0.0)


def decoder(network: str, channels: int, latents: int) -> Layers:
    """Return the layers from a code to an image's logits."""
    image = Features(channels, IMAGE_SIDE)
    return _chain([Features(latents), *reversed(ARCHITECTURES[network]), image], 0.0)


def discriminator(latents: int, layers: int, units: int) -> Layers:
    """Return the layers from a code to its logit."""
    return _chain([Features(latents), *[Features(units)] * layers, Features(1)], 0.2)


def _chain(features: Sequence[Features], slope: float) -> Layers:
    """Return a layer from each features to the next, with activations between them."""
    *hidden, last = itertools.pairwise(features)
    return (*(Layer(*pair, slope) for pair in hidden), Layer(*last, 1.0))


class Networks(NamedTuple):
    """The networks of a training."""

    encoder: Layers
    decoder: Layers
    discriminator: Layers
    """Empty where there is no discriminator."""


def networks(settings: TrainingSettings, channels: int) -> Networks:
    """Return the networks of a training on images of so many channels."""
    s = settings
    judge = discriminator(s.latents, s.discriminator_layers, s.discriminator_units)
    return Networks(
        encoder(s.network, channels, s.latents),
        decoder(s.network, channels, s.latents),
        judge if s.adversarial else (),
    )
