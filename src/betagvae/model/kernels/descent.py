"""Adam's step for a fully connected layer, as its gradient is found: this is never written."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from betagvae.model.kernels.arithmetic import Arithmetic
from betagvae.model.kernels.products import block_of, block_size


@triton.jit
def _rates(
    step,
    rates,
    LEARNING_RATE: tl.constexpr,
    LOG_BETA: tl.constexpr,
    LOG_BETA_SQ: tl.constexpr,
):
    """Write what corrects Adam's moments for having begun at 0; in float64, as differences."""
    number = tl.load(step).to(tl.float64)
    tl.store(rates, (LEARNING_RATE / (1 - tl.exp(number * LOG_BETA))).to(tl.float32))
    tl.store(rates + 1, (1 / tl.sqrt(1 - tl.exp(number * LOG_BETA_SQ))).to(tl.float32))


@triton.jit
def _descend_by(
    gradient,
    weight,
    moment,
    moment_sq,
    at,
    inside,
    rates,
    BETA: tl.constexpr,
    BETA_SQ: tl.constexpr,
    EPSILON: tl.constexpr,
):
    """Write weights and moments after Adam's step."""
    first = BETA * tl.load(moment + at, inside, 0.0) + (1 - BETA) * gradient
    second = BETA_SQ * tl.load(moment_sq + at, inside, 0.0) + (1 - BETA_SQ) * gradient * gradient
    change = tl.load(rates) * first / (tl.sqrt(second) * tl.load(rates + 1) + EPSILON)
    tl.store(weight + at, tl.load(weight + at, inside, 0.0) - change, inside)
    tl.store(moment + at, first, inside)
    tl.store(moment_sq + at, second, inside)


@triton.jit
def _descend(
    derivative,
    h,
    scale,
    weight,
    moment,
    moment_sq,
    bias,
    bias_moment,
    bias_moment_sq,
    rates,
    images: tl.constexpr,
    outputs: tl.constexpr,
    inputs: tl.constexpr,
    BETA: tl.constexpr,
    BETA_SQ: tl.constexpr,
    EPSILON: tl.constexpr,
    TYPE: tl.constexpr,
    PRODUCTS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Take Adam's step for a block of a training's weights, and for the biases of its rows."""
    s = tl.program_id(2)
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    derivative += s * (images * outputs)
    h += s * (images * inputs)
    scale += s * images
    gradient_mn = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for first in range(0, images, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        left_mk = block_of(derivative, m, k, outputs, images, 1, outputs)
        left_mk = left_mk * tl.load(scale + k, k < images, 0.0)[None, :]
        h_kn = block_of(h, k, n, images, inputs, inputs, 1)
        gradient_mn = tl.dot(left_mk.to(TYPE), h_kn.to(TYPE), gradient_mn, input_precision=PRODUCTS)
    at_mn = (s * outputs + m)[:, None] * inputs + n[None, :]
    inside_mn = (m < outputs)[:, None] & (n < inputs)[None, :]
    _descend_by(
        *(gradient_mn, weight, moment, moment_sq, at_mn, inside_mn, rates),
        *(BETA, BETA_SQ, EPSILON),
    )
    if tl.program_id(1) == 0:
        gradient_m = tl.zeros((BLOCK_M,), tl.float32)
        for first in range(0, images, BLOCK_K):
            k = first + tl.arange(0, BLOCK_K)
            left_mk = block_of(derivative, m, k, outputs, images, 1, outputs).to(tl.float32)
            gradient_m += tl.sum(left_mk * tl.load(scale + k, k < images, 0.0)[None, :], 1)
        _descend_by(
            *(gradient_m, bias, bias_moment, bias_moment_sq, s * outputs + m, m < outputs, rates),
            *(BETA, BETA_SQ, EPSILON),
        )


def adam_rates(step: Tensor, learning_rate: float, betas: tuple[float, float]) -> Tensor:
    """Return the learning rate over the first moment's correction, and 1/√ of the second's."""
    rates = torch.empty(2, device=step.device)
    _rates[(1,)](step, rates, learning_rate, *map(math.log, betas))
    return rates


def descend(
    derivative_sbe: Tensor,
    h_sbd: Tensor,
    scale_sb: Tensor,
    weight: Sequence[Tensor],
    bias: Sequence[Tensor],
    rates: Tensor,
    betas: tuple[float, float],
    epsilon: float,
    arithmetic: Arithmetic,
) -> None:
    """Take the step that `torch.optim.Adam` would for the weights of S×B×D to S×B×E features.

    Parameters
    ----------
    derivative_sbe
        The gradient for the layer's sums, less the factor `scale_sb` of each image.
    h_sbd
        The layer's input.
    weight, bias
        Each with its two moments, float32, S×E×D and S×E; they are changed in place.
    rates
        As `adam_rates`.
    """
    trainings, images, inputs = h_sbd.shape
    outputs = derivative_sbe.shape[2]
    # 32 rows are multiplied with mma, as in `products`. What a program computes is little beside
    # what it reads and writes: several fit a multiprocessor.
    block_m, block_n = block_size(outputs, 32), block_size(inputs, 128)
    blocks = triton.cdiv(outputs, block_m), triton.cdiv(inputs, block_n)
    _descend[(*blocks, trainings)](
        *(derivative_sbe.contiguous(), h_sbd.contiguous(), scale_sb.contiguous()),
        *(*weight, *bias, rates, images, outputs, inputs, *betas, epsilon),
        **arithmetic.factors,
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        BLOCK_K=min(arithmetic.block, block_size(images, 128)),
        num_warps=8 if block_n > 64 else 4,
    )
