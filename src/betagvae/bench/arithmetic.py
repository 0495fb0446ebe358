"""The floating-point operations that a step of training needs, counted by PyTorch.

Counted are matrix products and convolutions, a multiplication and an addition apart; what is done
element by element (activations, likelihood, Adam) is left out. The networks are written here once
more, from plain layers: a faster arrangement of them may do more operations than the model needs.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from betagvae.data.arrays import SIDE
from betagvae.model.networks import ARCHITECTURES, SMALLEST_MAP, Discriminator
from betagvae.settings.training import TrainingSettings


@dataclass(frozen=True)
class Operations:
    """Floating-point operations an image."""

    forward: int
    """Encoder, decoder and, where there is one, the discriminator on both kinds of codes."""
    step: int
    """Forward and backward pass of both players."""


def operations(settings: TrainingSettings, channels: int) -> Operations:
    """Count what one image costs in a step of training.

    Notes
    -----
    Gradients that nobody needs are not counted: those of the images, of the codes in the
    discriminator's own loss, and of the discriminator's weights in eq. 7.
    """
    with torch.device("meta"):
        encoder, decoder = plain_layers(settings.network, channels, settings.latents)
        discriminator = Discriminator(
            settings.latents, settings.discriminator_layers, settings.discriminator_units
        )
        with FlopCounterMode(display=False) as forward:
            outputs = _forward(encoder, decoder, discriminator, settings, channels)
        with FlopCounterMode(display=False) as step:
            outputs = _forward(encoder, decoder, discriminator, settings, channels)
            weights = [*encoder.parameters(), *decoder.parameters()]
            if settings.gamma:
                judged = list(discriminator.parameters())
                torch.autograd.grad(sum(outputs[1:]), judged, retain_graph=True)
            torch.autograd.grad(sum(outputs[:2]), weights)
    return Operations(forward.get_total_flops(), step.get_total_flops())


def _forward(
    encoder: nn.Module,
    decoder: nn.Module,
    discriminator: nn.Module,
    settings: TrainingSettings,
    channels: int,
) -> list[Tensor]:
    """Return sums over what one image gives: pixels and, with γ, the logits of both codes."""
    mean_bl, log_variance_bl = encoder(torch.empty(1, channels, SIDE, SIDE)).chunk(2, dim=1)
    z_bl = mean_bl + log_variance_bl
    outputs = [decoder(z_bl).sum()]
    if settings.gamma:
        prior_bl = torch.empty(1, settings.latents)
        outputs += [discriminator(z_bl).sum(), discriminator(prior_bl).sum()]
    return outputs


def plain_layers(network: str, channels: int, latents: int) -> tuple[nn.Module, nn.Module]:
    """Return encoder (B×C×64×64 to B×2L) and decoder (B×L to B×C×64×64), layer after layer.

    ReLUs are left out, since they are not counted.
    """
    architecture = ARCHITECTURES[network]
    widths = (channels, *architecture.convolutions)
    flat = widths[-1] * SMALLEST_MAP**2
    hidden = (flat, *architecture.hidden)
    convolution = {"kernel_size": 4, "stride": 2, "padding": 1}
    encoder = nn.Sequential(
        *(nn.Conv2d(*pair, **convolution) for pair in itertools.pairwise(widths)),
        nn.Flatten(),
        *(nn.Linear(*pair) for pair in itertools.pairwise((*hidden, 2 * latents))),
    )
    decoder = nn.Sequential(
        *(nn.Linear(*pair) for pair in itertools.pairwise((latents, *reversed(hidden)))),
        nn.Unflatten(1, (widths[-1], SMALLEST_MAP, SMALLEST_MAP)),
        *(
            nn.ConvTranspose2d(*pair, **convolution)
            for pair in itertools.pairwise(reversed(widths))
        ),
    )
    return encoder, decoder
