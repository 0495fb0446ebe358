"""The floating-point operations that a step of training needs.

Counted are matrix products and convolutions, a multiplication and an addition apart; what is done
element by element (activations, likelihood, Adam) is left out. They are those of the architecture:
a faster arrangement of its layers may do more.
"""

from dataclasses import dataclass

from betagvae.model.architecture import Layers, networks
from betagvae.settings.training import TrainingSettings


@dataclass(frozen=True)
class Operations:
    """Floating-point operations an image."""

    forward: int
    """Encoder, decoder and, where there is one, the discriminator on both kinds of codes; with
    `tc_density_ratio`, the encoder on an image of the second batch too."""
    step: int
    """Forward and backward pass of both players."""


def operations(settings: TrainingSettings, channels: int) -> Operations:
    """Count what one image costs in a step of training.

    Notes
    -----
    Gradients that nobody needs are not counted: those of the images, of the codes in the
    discriminator's own loss, and of the discriminator's weights in the autoencoder's loss.
    """
    encoder, decoder, discriminator = networks(settings, channels)
    forward = _products(encoder + decoder)
    # A layer's gradients for its weights and for its input cost what its output does.
    step = 3 * forward - _products(encoder[:1])
    if discriminator:
        judged = _products(discriminator)
        forward += 2 * judged
        own_loss = 2 * (2 * judged - _products(discriminator[:1]))
        step += 2 * judged + own_loss + judged
    if settings.tc_density_ratio:
        # A second batch is encoded, and nothing learns from it.
        forward += _products(encoder)
        step += _products(encoder)
    return Operations(2 * forward, 2 * step)


def _products(layers: Layers) -> int:
    return sum(layer.products for layer in layers)
