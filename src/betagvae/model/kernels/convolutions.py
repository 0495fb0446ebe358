"""Convolutions of kernel 4, stride 2 and padding 1, transposed ones, and their gradients."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from betagvae.model.kernels.arithmetic import Arithmetic
from betagvae.model.kernels.convolution_kernels import (
    _arrange,
    _convolve,
    _convolve_to_image,
    _convolve_up,
    _sum_parts,
    _weight_gradient,
)
from betagvae.model.kernels.images import padded

KERNEL_AREA = 16
"""Weights of a 4×4 convolution for a pair of channels."""


def _convolve_launch(side: int, pixel: int, arithmetic: Arithmetic) -> dict[str, int]:
    """Return how `_convolve` is launched for maps of a side, with values a pixel."""
    # A window of an image comes in one piece, where both halves of factors need no registers too.
    whole = pixel <= 4 and not arithmetic.splits
    return {
        "BLOCK_M": 128,
        "BLOCK_K": min(64 if whole else arithmetic.block, KERNEL_AREA * pixel),
        "num_warps": 8 if side <= 8 or arithmetic.splits else 4,
    }


def _convolve_up_launch(
    side: int, width: int, channels: int, arithmetic: Arithmetic
) -> dict[str, int]:
    """Return how `_convolve_up` is launched for maps of a side and width to some channels."""
    if arithmetic.dtype == torch.float32:
        # Two warps multiply with mma: wgmma, that of four on sm_90, wants the weights' other
        # order, in which they arrive by four bytes instead of sixteen.
        return {"BLOCK_M": 2048 // channels, "BLOCK_K": arithmetic.block, "num_warps": 2}
    if side <= 8:
        return {"BLOCK_M": 128, "BLOCK_K": arithmetic.block, "num_warps": 8, "num_stages": 2}
    return {"BLOCK_M": 128, "BLOCK_K": min(128, 4 * width), "num_warps": 8}


def _weight_gradient_launch(columns: int, width: int, arithmetic: Arithmetic) -> dict[str, int]:
    """Return how `_weight_gradient` is launched for so many columns of as many rows as width."""
    return {
        "BLOCK_M": arithmetic.block,
        # 32 rows are multiplied with mma; of 64, as in `_convolve_up_launch`.
        "BLOCK_N": min(32, width) if arithmetic.dtype == torch.float32 else width,
        "BLOCK_K": min(128, columns),
    }


def convolve(
    x_nhwc: Tensor,
    weight: Tensor,
    arithmetic: Arithmetic,
    *,
    bias: Tensor | None = None,
    activation: Tensor | None = None,
) -> Tensor:
    """Return the 4×4 convolution with stride 2, N×H/2×W/2×Y, of features or an image's bytes.

    With a bias S×Y it is added and what is negative becomes 0, as a layer does; with activations
    N×H/2×W/2×Y the result is 0 where these are, as the gradient for a layer's sums is.
    """
    trainings, width, _, channels = weight.shape
    images, side = x_nhwc.shape[0], x_nhwc.shape[1] // 2
    rows = images // trainings * side * side
    y_nhwc = x_nhwc.new_empty((images, side, side, width), dtype=arithmetic.dtype)
    pixel = padded(channels)
    launch = _convolve_launch(side, pixel, arithmetic)
    _convolve[(triton.cdiv(rows, launch["BLOCK_M"]), trainings)](
        *(x_nhwc, weight, bias, activation, y_nhwc, rows),
        SIDE=side,
        X=pixel,
        C=channels,
        Y=width,
        BIAS=bias is not None,
        DERIVATIVE=activation is not None,
        **arithmetic.factors,
        **launch,
    )
    return y_nhwc


def convolve_up(
    x_nhwc: Tensor,
    weight: Tensor,
    arithmetic: Arithmetic,
    *,
    bias: Tensor | None = None,
    activation: Tensor | None = None,
) -> Tensor:
    """Return the transposed 4×4 convolution with stride 2, N×2H×2W×X.

    With a bias S×X it is added and what is negative becomes 0; activations as in `convolve`.
    """
    trainings, width, _, channels = weight.shape
    images, side = x_nhwc.shape[:2]
    rows = images // trainings * side * side
    y_nhwc = x_nhwc.new_empty((images, 2 * side, 2 * side, channels), dtype=arithmetic.dtype)
    launch = _convolve_up_launch(side, width, channels, arithmetic)
    _convolve_up[(triton.cdiv(rows, launch["BLOCK_M"]), 4, trainings)](
        *(x_nhwc, weight, bias, activation, y_nhwc, rows),
        SIDE=side,
        X=channels,
        Y=width,
        BIAS=bias is not None,
        DERIVATIVE=activation is not None,
        **arithmetic.factors,
        **launch,
    )
    return y_nhwc


def convolve_to_image(
    x_nhwc: Tensor, weight: Tensor, bias: Tensor, arithmetic: Arithmetic
) -> Tensor:
    """Return the transposed 4×4 convolution with stride 2 to at most 4 channels, and the bias."""
    trainings, width, _, channels = weight.shape
    images, side = x_nhwc.shape[:2]
    rows = images // trainings * side * side
    pixel = padded(channels)
    y_nhwc = x_nhwc.new_empty((images, 2 * side, 2 * side, pixel), dtype=arithmetic.dtype)
    columns = 16
    arranged = torch.empty(
        (trainings, 9, columns, width), dtype=arithmetic.dtype, device=weight.device
    )
    _arrange[(9, trainings)](weight, arranged, pixel, channels, width, columns)
    block_m = 256
    _convolve_to_image[(triton.cdiv(rows, block_m), trainings)](
        *(x_nhwc, arranged, bias, y_nhwc, rows),
        SIDE=side,
        X=pixel,
        C=channels,
        Y=width,
        # Given all registers, the assembler unrolls the loop until they do not suffice.
        **{**arithmetic.factors, "maxnreg": None},
        BLOCK_M=block_m,
        COLUMNS=columns,
        num_warps=8,
        num_stages=2,
    )
    return y_nhwc[..., :channels]


def convolution_gradients(
    small_nhwc: Tensor, large_nhwc: Tensor, weight: Tensor, arithmetic: Arithmetic, *, up: bool
) -> tuple[Tensor, Tensor]:
    """Return the gradients of weights and biases, float32.

    From the smaller map and the larger: input and gradient of a convolution's output are the
    larger and the smaller, of a transposed convolution's (`up`) the smaller and the larger. The
    larger may be an image's bytes.
    """
    trainings, width, _, channels = weight.shape
    side = small_nhwc.shape[1]
    rows = small_nhwc.shape[0] // trainings * side * side
    pixel = padded(channels)
    columns = KERNEL_AREA * pixel
    launch = _weight_gradient_launch(columns, width, arithmetic)
    # By shapes alone, so that a training's sums do not depend on the others.
    parts = triton.cdiv(rows, max(512, rows // (64 if pixel <= 4 else 16)))
    steps = triton.cdiv(rows, launch["BLOCK_M"] * parts)
    biases = channels if up else width
    size = weight[0].numel() + (KERNEL_AREA * biases if up else biases)
    partial = torch.empty((parts, trainings, size), device=weight.device)
    tiles = (columns // launch["BLOCK_K"]) * (width // launch["BLOCK_N"])
    _weight_gradient[(tiles, parts, trainings)](
        *(small_nhwc, large_nhwc, partial, rows),
        SIDE=side,
        X=pixel,
        C=channels,
        Y=width,
        LARGE_BIAS=up,
        **arithmetic.factors,
        STEPS=steps,
        **launch,
    )
    of_weight, of_bias = torch.empty_like(weight), weight.new_empty((trainings, biases))
    block = 64
    _sum_parts[(triton.cdiv(weight[0].numel(), block) + 1, trainings)](
        *(partial, of_weight, of_bias, parts),
        WEIGHTS=weight[0].numel(),
        BIASES=biases,
        LARGE_BIAS=up,
        PARTS=triton.next_power_of_2(parts),
        BLOCK=block,
    )
    return of_weight, of_bias
