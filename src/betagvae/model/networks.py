"""Encoder, decoder and discriminator for 64×64 images, made from their `architecture`.

What they return is float32, also where they compute in less (`device.computing_in`).

Shape suffixes: B images, C channels, H×W pixels, L latents, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from betagvae.model import architecture, objective
from betagvae.model.architecture import KERNEL_SIDE, Kind, Layer, Layers


def _modules(layers: Iterable[Layer]) -> nn.Sequential:
    """Return layers as modules, each with its activation after it."""
    modules: list[nn.Module] = []
    for layer in layers:
        modules.append(_module(layer))
        if layer.slope != 1:
            leaky = layer.slope > 0
            modules.append(nn.LeakyReLU(layer.slope) if leaky else nn.ReLU(inplace=True))
    return nn.Sequential(*modules)


def _module(layer: Layer) -> nn.Module:
    if layer.kind is Kind.LINEAR:
        return nn.Linear(layer.inputs.values, layer.outputs.values)
    widths = layer.inputs.channels, layer.outputs.channels
    if layer.kind is Kind.CONVOLUTION:
        return nn.Conv2d(*widths, KERNEL_SIDE, stride=2, padding=1)
    return ImageConvolution(*widths) if layer.slope == 1 else UpConvolution(*widths)


def _parted(layers: Layers) -> tuple[Layers, Layers]:
    """Return the convolutions, and the linear layers."""
    linear = tuple(layer for layer in layers if layer.kind is Kind.LINEAR)
    return tuple(layer for layer in layers if layer not in linear), linear


def _by_parity(weight: Tensor) -> Tensor:
    """Return the D×C×4×4 weights of a transposed convolution by the output pixels that see them.

    D×C×2×2×2×2: of two neighbouring rows, which; parity of the output's row; likewise columns.
    """
    return weight.unflatten(2, (2, 2)).unflatten(4, (2, 2)).flip(2, 4)


class _Upsampled(torch.autograd.Function):
    """A transposed convolution, kernel 4, stride 2, padding 1, for a CPU.

    PyTorch's own takes as long for the bias's gradient as for all others.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, h_bdhw: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(h_bdhw, weight)
        return F.conv_transpose2d(h_bdhw, weight, bias, stride=2, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient_bdhw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h_bdhw, weight = ctx.saved_tensors
        # A single channel looks the same in both memory formats: only a copy has the right one.
        gradient_bdhw = gradient_bdhw.to(
            h_bdhw.dtype, copy=weight.shape[1] == 1, memory_format=torch.channels_last
        )
        of_features, of_weight, _ = torch.ops.aten.convolution_backward(
            *(gradient_bdhw, h_bdhw, weight, None),
            *([2, 2], [1, 1], [1, 1], True, [0, 0], 1),
            [True, True, False],
        )
        return of_features, of_weight, gradient_bdhw.sum((0, 2, 3))


class _UpsampledByPhases(_Upsampled):
    """The same, computed phase by phase.

    Every output pixel of one parity sees the same 2×2 weights: the four parities are the channels
    of an ordinary 2×2 convolution at the input's size (Shi et al. 2016, sub-pixel convolution).
    That is faster for few output channels; the gradients are faster as they are.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, h_bdhw: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(h_bdhw, weight)
        phases = _by_parity(weight).permute(3, 5, 1, 0, 2, 4).flatten(0, 2)  # 4C×D×2×2
        phases = phases.contiguous(memory_format=torch.channels_last)
        y_bdhw = F.conv2d(h_bdhw, phases, bias.repeat(4), padding=1)
        y_bhwd = y_bdhw.permute(0, 2, 3, 1).unflatten(3, (2, 2, -1)).transpose(2, 3)  # H×2×W×2×C
        y_bhwc = y_bhwd.flatten(3, 4).flatten(1, 2)
        return y_bhwc[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


class UpConvolution(nn.ConvTranspose2d):
    """A layer of the decoder: B×D×H×W features to twice the height and width."""

    on_a_cpu: type[_Upsampled] = _Upsampled

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__(width_in, width_out, KERNEL_SIDE, stride=2, padding=1)

    def forward(self, h_bdhw: Tensor) -> Tensor:
        """Return features, B×D×2H×2W."""
        if h_bdhw.is_cuda:
            return super().forward(h_bdhw)
        weight, bias = self.weight.to(h_bdhw.dtype), self.bias.to(h_bdhw.dtype)
        return self.on_a_cpu.apply(h_bdhw, weight, bias)


class ImageConvolution(UpConvolution):
    """The decoder's last layer: B×D×32×32 features to B×C×64×64 logits."""

    on_a_cpu = _UpsampledByPhases


class Encoder(nn.Module):
    """The approximate posterior q(z|x), a diagonal Gaussian.

    Maps images B×C×64×64 in [0, 1] to the posterior's mean and log variance, each B×L.
    """

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.architecture = layers
        convolutions, (*hidden, posterior) = _parted(layers)
        self.convolutions = _modules(convolutions)
        self.hidden = _modules(hidden)
        self.posterior = _module(posterior)

    def forward(self, x_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior's mean and log variance, each B×L."""
        h_bdhw = self.convolutions(x_bchw)  # B×D×4×4
        h_bd = self.hidden(h_bdhw.flatten(1))  # B×256
        mean_bl, log_variance_bl = self.posterior(h_bd).float().chunk(2, dim=1)
        return mean_bl, log_variance_bl


class Decoder(nn.Module):
    """The likelihood's parameters p(x|z): the encoder mirrored, B×L to B×C×64×64 logits.

    The sigmoid of a logit is the mean of the pixel under either likelihood.
    """

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.architecture = layers
        convolutions, hidden = _parted(layers)
        self.hidden = _modules(hidden)
        channels, side = convolutions[0].inputs
        self.map_shape = (channels, side, side)
        self.convolutions = _modules(convolutions)

    def forward(self, z_bl: Tensor) -> Tensor:
        """Return logits, B×C×64×64."""
        h_bdhw = self.hidden(z_bl).unflatten(1, self.map_shape)  # B×D×4×4
        # Convolutions on CPU and tensor cores run faster over interleaved channels.
        h_bdhw = h_bdhw.contiguous(memory_format=torch.channels_last)
        return self.convolutions(h_bdhw).float()


class VariationalAutoencoder(nn.Module):
    """Encoder and decoder of the paper's Fig. 1, in one of the field's two architectures."""

    def __init__(self, network: str, channels: int, latents: int) -> None:
        super().__init__()
        self.latents = latents
        self.encoder = Encoder(architecture.encoder(network, channels, latents))
        self.decoder = Decoder(architecture.decoder(network, channels, latents))
        self.architecture = self.encoder.architecture + self.decoder.architecture

    @staticmethod
    def likelihood(name: str) -> Callable[[Tensor, Tensor], Tensor]:
        """Return one of `objective.LIKELIHOODS`, for the decoder's logits and the images."""
        return objective.LIKELIHOODS[name]


class Discriminator(nn.Module):
    """D(z) of the paper's Fig. 3: B×L codes to B logits, positive for "a reference code".

    A multi-layer perceptron with leaky ReLU 0.2 and without batch normalisation, as in
    FactorVAE (Kim & Mnih 2018, appendix A); the paper does not describe its own.
    """

    def __init__(self, latents: int, layers: int, units: int) -> None:
        super().__init__()
        self.architecture = architecture.discriminator(latents, layers, units)
        self.layers = _modules(self.architecture)

    def forward(self, z_bl: Tensor) -> Tensor:
        """Return one logit a code: the shape of the codes without the latents."""
        return self.layers(z_bl).float().squeeze(-1)

    def differentiate(self, loss: Tensor) -> None:
        """Keep the gradients of a loss, whose graph remains for others, for `descend`."""
        weights = list(self.parameters())
        set_gradients(weights, torch.autograd.grad(loss, weights, retain_graph=True))

    def descend(self, adam: torch.optim.Adam) -> None:
        """Take the optimiser's step."""
        adam.step()


def set_gradients(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Give the weights what an optimiser's step takes."""
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights anew, from `generator` alone: He uniform weights, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)
