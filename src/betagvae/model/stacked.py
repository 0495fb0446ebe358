"""The networks of several trainings at once, for a GPU: weights stacked, a kernel for each layer.

They compute what the modules of `networks` do that they are made of, and are turned into these
again. Feature maps have their channels last, here and in `kernels`.

Shape suffixes: S trainings, B images of each, N images of all, L latents, C channels, H×W pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from betagvae.errors import UserError
from betagvae.model import architecture, kernels
from betagvae.model.architecture import SMALLEST_MAP, Kind
from betagvae.model.device import PRECISIONS
from betagvae.model.networks import Discriminator, VariationalAutoencoder

_NOT_IN_THE_KERNEL = ("weight_decay", "amsgrad", "maximize")
"""Options of `torch.optim.Adam`."""
MOST_IMAGES = 2**16 - 1
"""At once: kernels count the values of the largest map, 2¹⁵ an image, in 32 bits."""


@dataclass(frozen=True)
class Layer:
    """A layer of S trainings: its sums, and its activation, which is `slope` times them below 0."""

    weight: Tensor
    bias: Tensor
    arithmetic: kernels.Arithmetic
    slope: float = 0


class Linear(Layer):
    """S×B×D to S×B×E features; weights S×E×D."""

    def _rows(self, h: Tensor, width: int) -> Tensor:
        return h.view(len(self.weight), -1, width)

    def output(self, h: Tensor) -> Tensor:
        """Return the activations; where there are none, the sums, float32."""
        return kernels.multiply(
            self._rows(h, self.weight.shape[2]),
            self.weight.transpose(1, 2),
            self.arithmetic,
            bias=self.bias,
            slope=self.slope,
            dtype=torch.float32 if self.slope == 1 else None,
        )

    def of_input(self, gradient: Tensor, h: Tensor | None = None, slope: float = 1) -> Tensor:
        """Return the input's gradient; where it is activations `h`, that of the sums before."""
        gradient = self._rows(gradient, self.weight.shape[1])
        return kernels.multiply(gradient, self.weight, self.arithmetic, activation=h, slope=slope)

    def of_parameters(self, gradient: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of weights and bias."""
        of_bias = torch.empty_like(self.bias)
        gradient = self._rows(gradient, self.weight.shape[1])
        of_weight = kernels.multiply(
            gradient.transpose(1, 2),
            self._rows(h, self.weight.shape[2]),
            self.arithmetic,
            sums=of_bias,
            dtype=torch.float32,
        )
        return of_weight, of_bias


class Convolution(Layer):
    """N×2H×2W×C to N×H×W×D features, a ReLU; weights S×D×16×C."""

    def output(self, h: Tensor) -> Tensor:
        """Return the activations."""
        return kernels.convolve(h, self.weight, self.arithmetic, bias=self.bias)

    def of_input(self, gradient: Tensor, h: Tensor, slope: float) -> Tensor:
        """Return the gradient of the sums before the ReLU that the input is from."""
        gradient = _maps(gradient, self.weight.shape[1])
        return kernels.convolve_up(gradient, self.weight, self.arithmetic, activation=h)

    def of_parameters(self, gradient: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of weights and bias."""
        gradient = _maps(gradient, self.weight.shape[1])
        return kernels.convolution_gradients(gradient, h, self.weight, self.arithmetic, up=False)


class UpConvolution(Layer):
    """N×H×W×D to N×2H×2W×C features; weights S×D×16×C."""

    def output(self, h: Tensor) -> Tensor:
        """Return the activations, or the sums where there are none."""
        h = _maps(h, self.weight.shape[1])
        if self.slope == 1:
            return kernels.convolve_to_image(h, self.weight, self.bias, self.arithmetic)
        return kernels.convolve_up(h, self.weight, self.arithmetic, bias=self.bias)

    def of_input(self, gradient: Tensor, h: Tensor, slope: float) -> Tensor:
        """Return the gradient of the sums before the ReLU that the input is from."""
        gradient = kernels.padded_image(gradient)
        return kernels.convolve(gradient, self.weight, self.arithmetic, activation=h)

    def of_parameters(self, gradient: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of weights and bias."""
        gradient = kernels.padded_image(gradient)
        h = _maps(h, self.weight.shape[1])
        return kernels.convolution_gradients(h, gradient, self.weight, self.arithmetic, up=True)


KINDS = {
    Kind.LINEAR: Linear,
    Kind.CONVOLUTION: Convolution,
    Kind.UP_CONVOLUTION: UpConvolution,
}


def _maps(h: Tensor, width: int) -> Tensor:
    """Return features as the smallest maps, if they are the output of a linear layer."""
    return h.view(-1, SMALLEST_MAP, SMALLEST_MAP, width) if h.dim() == 3 else h


class _Chained(torch.autograd.Function):
    """Layers one after the other."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, layers: Sequence[Layer], h: Tensor, *parameters: Tensor
    ) -> Tensor:
        ctx.layers = layers
        ctx.shapes = [parameter.shape for parameter in parameters]
        ctx.of_input = h.requires_grad
        inputs = []
        for layer in layers:
            inputs.append(h)
            h = layer.output(h)
        ctx.save_for_backward(*inputs)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found = []
        inputs = ctx.saved_tensors
        for i in reversed(range(len(inputs))):
            layer, h = ctx.layers[i], inputs[i]
            found[:0] = layer.of_parameters(gradient, h)
            if i:
                gradient = layer.of_input(gradient, h, ctx.layers[i - 1].slope)
        gradient = ctx.layers[0].of_input(gradient).view_as(inputs[0]) if ctx.of_input else None
        found = [tensor.view(shape) for tensor, shape in zip(found, ctx.shapes, strict=True)]
        return None, gradient, *found


class Stacked(nn.Module):
    """The weights of S modules, stacked; every parameter has them along its first axis."""

    def __init__(self, modules: Sequence[nn.Module], device: torch.device, precision: str) -> None:
        super().__init__()
        self._template = [copy.deepcopy(modules[0]).cpu()]
        self.trainings = len(modules)
        kept = PRECISIONS[precision]
        self.arithmetic = kernels.Arithmetic(kept.dtype, kept.stacked_products)
        with torch.no_grad():
            views = zip(*map(_views, modules), strict=True)
            self.stack = nn.ParameterList(torch.stack(of_all).to(device) for of_all in views)
        pairs = _in_pairs(modules[0].architecture, [p.detach() for p in self.stack])
        self._chain = [self._layer(*pair) for pair in pairs]

    def unstacked(self, training: int) -> nn.Module:
        """Return the module of one training, on the CPU."""
        module = copy.deepcopy(self._template[0])
        with torch.no_grad():
            for view, stacked in zip(_views(module), self.stack, strict=True):
                view.copy_(stacked[training])
        return module

    def _layer(self, described: architecture.Layer, weight: Tensor, bias: Tensor) -> Layer:
        """Return a layer on parameters of the stack."""
        if described.kind is Kind.LINEAR:
            # Features of the smallest maps have two axes.
            weight = weight.view(self.trainings, described.outputs.values, -1)
            bias = bias.flatten(1)
        else:
            weight = weight.flatten(2, 3)
        return KINDS[described.kind](weight, bias, self.arithmetic, described.slope)


class StackedAutoencoder(Stacked):
    """`VariationalAutoencoder` of S trainings."""

    def __init__(
        self, models: Sequence[VariationalAutoencoder], device: torch.device, precision: str
    ) -> None:
        super().__init__(models, device, precision)
        self.latents = models[0].latents
        layers = len(models[0].encoder.architecture)
        self._encoder, self._decoder = self._chain[:layers], self._chain[layers:]
        self._first = 2 * layers

    def encoder(self, x_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior's mean and log variance, each N×L, as `networks.Encoder`.

        Of images in [0, 1] or their bytes, as in `reconstruction_error`.

        Raises
        ------
        UserError
            When there are more than `MOST_IMAGES`.
        """
        if len(x_nchw) > MOST_IMAGES:
            raise UserError(
                f"{len(x_nchw):,} images at once are more than a GPU's kernels can count "
                f"({MOST_IMAGES:,}): lower batch_size or trainings_per_job"
            )
        x_nhwc = kernels.padded_image(x_nchw.permute(0, 2, 3, 1))
        posterior_sbl = _Chained.apply(self._encoder, x_nhwc, *self.stack[: self._first])
        return posterior_sbl.flatten(0, 1).chunk(2, dim=1)

    def decoder(self, z_nl: Tensor) -> Tensor:
        """Return logits, N×C×64×64, as `networks.Decoder`, but not in float32 always."""
        logits_nhwc = _Chained.apply(self._decoder, z_nl.contiguous(), *self.stack[self._first :])
        return logits_nhwc.permute(0, 3, 1, 2)

    @staticmethod
    def likelihood(name: str) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what `VariationalAutoencoder.likelihood` does."""
        return partial(reconstruction_error, likelihood=name)


class _ByJacobian(torch.autograd.Function):
    """Logits whose gradients for the codes are known."""

    @staticmethod
    def forward(ctx: FunctionCtx, codes: Tensor, logits: Tensor, jacobian: Tensor) -> Tensor:
        ctx.save_for_backward(jacobian)
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (jacobian,) = ctx.saved_tensors
        return jacobian * gradient.unsqueeze(-1), None, None


class StackedDiscriminator(Stacked):
    """`Discriminator` of S trainings.

    A logit is one number, so the derivatives of any loss are its derivative for the logit times
    the logit's: one way back through the network does for both players.
    """

    def forward(self, codes_sbl: Tensor) -> Tensor:
        """Return one logit a code, S×B, and keep what `descend` needs until the next call."""
        h = codes_sbl.detach()
        self._inputs = []
        for layer in self._chain:
            self._inputs.append(h)
            h = layer.output(h)
        slopes = [1.0] + [layer.slope for layer in self._chain[:-1]]
        self._derivatives = [torch.ones_like(h)]
        for layer, i, slope in zip(
            self._chain[::-1], self._inputs[::-1], slopes[::-1], strict=True
        ):
            derivative = layer.of_input(self._derivatives[0], i if slope != 1 else None, slope)
            self._derivatives.insert(0, derivative)
        self._logits = _ByJacobian.apply(codes_sbl, h.squeeze(2), self._derivatives[0].float())
        return self._logits

    def differentiate(self, loss: Tensor) -> None:
        """Keep the derivatives of a loss for the last logits, which is all that `descend` needs."""
        (self._scale_sb,) = torch.autograd.grad(loss, self._logits, retain_graph=True)

    def descend(self, adam: torch.optim.Adam) -> None:
        """Take the optimiser's step down the last loss; its gradients are never written."""
        states = [adam.state[parameter] for parameter in self.stack]
        torch._foreach_add_([state["step"] for state in states], 1)
        (settings,) = adam.param_groups
        if unknown := [option for option in _NOT_IN_THE_KERNEL if settings[option]]:
            raise NotImplementedError(f"the kernel of Adam's step has no {', '.join(unknown)}")
        rates = kernels.adam_rates(states[0]["step"], settings["lr"], settings["betas"])
        changed = [
            (parameter.detach(), state["exp_avg"], state["exp_avg_sq"])
            for parameter, state in zip(self.stack, states, strict=True)
        ]
        for weight, bias, h, derivative in zip(
            changed[::2], changed[1::2], self._inputs, self._derivatives[1:], strict=True
        ):
            kernels.descend(
                *(derivative, h, self._scale_sb, weight, bias),
                *(rates, settings["betas"], settings["eps"], self.arithmetic),
            )


class _Error(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits_nhwc: Tensor, x_nhwc: Tensor, likelihood: str) -> Tensor:
        ctx.save_for_backward(logits_nhwc, x_nhwc)
        ctx.likelihood = likelihood
        return kernels.reconstruction_error(logits_nhwc, x_nhwc, likelihood)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient_n: Tensor) -> tuple[Tensor, None, None]:
        maps = ctx.saved_tensors
        return (
            kernels.reconstruction_error_gradient(*maps, ctx.likelihood, gradient_n),
            None,
            None,
        )


def reconstruction_error(logits_nchw: Tensor, x_nchw: Tensor, likelihood: str) -> Tensor:
    """Return what `objective.LIKELIHOODS` do, N."""
    maps = (map_nchw.permute(0, 2, 3, 1) for map_nchw in (logits_nchw, x_nchw))
    return _Error.apply(*map(kernels.padded_image, maps), likelihood)


def stack(modules: Sequence[nn.Module], device: torch.device, precision: str) -> Stacked:
    """Return modules of one kind as one."""
    kind = StackedDiscriminator if isinstance(modules[0], Discriminator) else StackedAutoencoder
    return kind(modules, device, precision)


def _views(module: nn.Module) -> Iterator[Tensor]:
    """Yield a module's parameters in order, in the shapes that they have in a stack."""
    for layer, weight, bias in _in_pairs(module.architecture, list(module.parameters())):
        if layer.kind is not Kind.LINEAR:
            weight = weight.permute(0, 2, 3, 1)
        elif layer.inputs.side > 1:
            weight = weight.unflatten(1, (-1, layer.inputs.side**2)).transpose(1, 2)
        elif layer.outputs.side > 1:
            weight, bias = (
                parameter.unflatten(0, (-1, layer.outputs.side**2)).transpose(0, 1)
                for parameter in (weight, bias)
            )
        yield from (weight, bias)


def _in_pairs(
    layers: architecture.Layers, parameters: Sequence[Tensor]
) -> Iterator[tuple[architecture.Layer, Tensor, Tensor]]:
    """Yield each layer with its weights and its biases."""
    return zip(layers, parameters[::2], parameters[1::2], strict=True)
