"""Triton kernels of the networks, for a GPU: each does a layer of several trainings at once.

At batch 64 a layer of one training is too small to fill a GPU and over before the next kernel has
started. All trainings of a stack hence go through a layer together, a kernel for each, and bias,
activation and its derivative are part of the kernel. What a training gets does not depend on the
trainings beside it: sums are split by shapes alone.

Feature maps are N×H×W×C, channels last, the images of all S trainings one after the other. Weights
of either kind of 4×4 convolution are S×(channels of the smaller map)×16×(channels of the larger).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

KERNEL_AREA = 16
"""Weights of a 4×4 convolution for a pair of channels."""


@dataclass(frozen=True)
class Arithmetic:
    """What products are computed in; sums are float32."""

    dtype: torch.dtype
    """Of activations, and of the factors of products."""
    products: str
    """How float32 factors are multiplied, in Triton's words."""

    @property
    def block(self) -> int:
        """Length of the pieces in which sums are computed: 128 bytes."""
        return 128 // self.dtype.itemsize


_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16}


@triton.jit
def _activated(y, SLOPE: tl.constexpr):
    return tl.where(y > 0, y, y * SLOPE)


@triton.jit
def _convolve(
    x,
    weight,
    bias,
    activation,
    y,
    rows,
    SIDE: tl.constexpr,
    X: tl.constexpr,
    C: tl.constexpr,
    Y: tl.constexpr,
    BIAS: tl.constexpr,
    DERIVATIVE: tl.constexpr,
    TYPE: tl.constexpr,
    PRODUCTS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Write SIDE×SIDE pixels of Y channels from twice the side; of its X channels C are used."""
    s = tl.program_id(1)
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_m = m < rows
    n = tl.arange(0, Y)
    row_m = (m // SIDE) % SIDE
    column_m = m % SIDE
    image_m = s * (rows // (SIDE * SIDE)) + m // (SIDE * SIDE)
    x_m = image_m * (4 * SIDE * SIDE)
    weight += s * (Y * 16 * C)
    y_mn = tl.zeros((BLOCK_M, Y), tl.float32)
    for first in range(0, 16 * X, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        tap_k, channel_k = k // X, k % X
        row_mk = 2 * row_m[:, None] + (tap_k // 4 - 1)[None, :]
        column_mk = 2 * column_m[:, None] + (tap_k % 4 - 1)[None, :]
        seen_mk = (row_mk >= 0) & (row_mk < 2 * SIDE) & (column_mk >= 0) & (column_mk < 2 * SIDE)
        pixel_mk = x_m[:, None] + row_mk * (2 * SIDE) + column_mk
        x_mk = tl.load(x + pixel_mk * X + channel_k[None, :], seen_mk & inside_m[:, None], 0.0)
        at_kn = (tap_k * C + channel_k)[:, None] + n[None, :] * (16 * C)
        weight_kn = tl.load(weight + at_kn, (channel_k < C)[:, None], 0.0)
        y_mn = tl.dot(x_mk.to(TYPE), weight_kn.to(TYPE), y_mn, input_precision=PRODUCTS)
    at_mn = (s * rows + m)[:, None] * Y + n[None, :]
    if BIAS:
        y_mn = _activated(y_mn + tl.load(bias + s * Y + n)[None, :], 0.0)
    if DERIVATIVE:
        y_mn = tl.where(tl.load(activation + at_mn, inside_m[:, None], 0.0) > 0, y_mn, 0.0)
    tl.store(y + at_mn, y_mn.to(y.dtype.element_ty), inside_m[:, None])


@triton.jit
def _convolve_up(
    x,
    weight,
    bias,
    activation,
    y,
    rows,
    SIDE: tl.constexpr,
    X: tl.constexpr,
    Y: tl.constexpr,
    BIAS: tl.constexpr,
    DERIVATIVE: tl.constexpr,
    TYPE: tl.constexpr,
    PRODUCTS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Write twice the side and X channels from SIDE×SIDE pixels of Y channels.

    A program has the pixels of one parity of row and column, which all see the same 2×2 weights.
    """
    s = tl.program_id(2)
    down = tl.program_id(1) // 2
    right = tl.program_id(1) % 2
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_m = m < rows
    n = tl.arange(0, X)
    row_m = (m // SIDE) % SIDE
    column_m = m % SIDE
    image_m = s * (rows // (SIDE * SIDE)) + m // (SIDE * SIDE)
    x_m = image_m * (SIDE * SIDE)
    weight += s * (Y * 16 * X)
    y_mn = tl.zeros((BLOCK_M, X), tl.float32)
    for first in range(0, 4 * Y, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        # The pixel at the same place, and the neighbour on the side of the parity.
        further_row_k = k // (2 * Y)
        further_column_k = (k // Y) % 2
        row_mk = row_m[:, None] + (further_row_k * (2 * down - 1))[None, :]
        column_mk = column_m[:, None] + (further_column_k * (2 * right - 1))[None, :]
        tap_k = 4 * (1 + down + further_row_k * (2 - 4 * down))
        tap_k += 1 + right + further_column_k * (2 - 4 * right)
        seen_mk = (row_mk >= 0) & (row_mk < SIDE) & (column_mk >= 0) & (column_mk < SIDE)
        pixel_mk = x_m[:, None] + row_mk * SIDE + column_mk
        x_mk = tl.load(x + pixel_mk * Y + (k % Y)[None, :], seen_mk & inside_m[:, None], 0.0)
        weight_kn = tl.load(weight + ((k % Y) * (16 * X) + tap_k * X)[:, None] + n[None, :])
        y_mn = tl.dot(x_mk.to(TYPE), weight_kn.to(TYPE), y_mn, input_precision=PRODUCTS)
    pixel_m = image_m * (4 * SIDE * SIDE) + (2 * row_m + down) * (2 * SIDE) + 2 * column_m + right
    at_mn = pixel_m[:, None] * X + n[None, :]
    if BIAS:
        y_mn = _activated(y_mn + tl.load(bias + s * X + n)[None, :], 0.0)
    if DERIVATIVE:
        y_mn = tl.where(tl.load(activation + at_mn, inside_m[:, None], 0.0) > 0, y_mn, 0.0)
    tl.store(y + at_mn, y_mn.to(y.dtype.element_ty), inside_m[:, None])


@triton.jit
def _convolve_to_image(
    x,
    weight,
    bias,
    y,
    rows,
    SIDE: tl.constexpr,
    X: tl.constexpr,
    C: tl.constexpr,
    Y: tl.constexpr,
    TYPE: tl.constexpr,
    PRODUCTS: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    """Write twice the side from SIDE×SIDE pixels of Y channels; of its X ≤ 4 channels C are used.

    The pixels of all four parities are the columns of one product over the 3×3 pixels around.
    """
    s = tl.program_id(1)
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_m = m < rows
    n = tl.arange(0, 16)
    down_n, right_n, channel_n = n // (2 * X), (n // X) % 2, n % X
    used_n = (n < 4 * X) & (channel_n < C)
    k = tl.arange(0, Y)
    row_m = (m // SIDE) % SIDE
    column_m = m % SIDE
    image_m = s * (rows // (SIDE * SIDE)) + m // (SIDE * SIDE)
    weight += s * (Y * 16 * C)
    y_mn = tl.zeros((BLOCK_M, 16), tl.float32)
    for neighbour in range(9):
        below, beside = neighbour // 3 - 1, neighbour % 3 - 1
        row_m1, column_m1 = row_m + below, column_m + beside
        seen_m = (row_m1 >= 0) & (row_m1 < SIDE) & (column_m1 >= 0) & (column_m1 < SIDE) & inside_m
        pixel_m = image_m * (SIDE * SIDE) + row_m1 * SIDE + column_m1
        x_mk = tl.load(x + pixel_m[:, None] * Y + k[None, :], seen_m[:, None], 0.0)
        tap_row_n, tap_column_n = 1 + down_n - 2 * below, 1 + right_n - 2 * beside
        sees_n = (tap_row_n >= 0) & (tap_row_n < 4) & (tap_column_n >= 0) & (tap_column_n < 4)
        at_n = (4 * tap_row_n + tap_column_n) * C + channel_n
        weight_kn = tl.load(
            weight + k[:, None] * (16 * C) + at_n[None, :], (sees_n & used_n)[None, :], 0.0
        )
        y_mn = tl.dot(x_mk.to(TYPE), weight_kn.to(TYPE), y_mn, input_precision=PRODUCTS)
    y_mn += tl.load(bias + s * C + channel_n, used_n, 0.0)[None, :]
    row_mn = 2 * row_m[:, None] + down_n[None, :]
    pixel_mn = image_m[:, None] * (4 * SIDE * SIDE) + row_mn * (2 * SIDE)
    pixel_mn += 2 * column_m[:, None] + right_n[None, :]
    at_mn = pixel_mn * X + channel_n[None, :]
    tl.store(y + at_mn, y_mn.to(y.dtype.element_ty), inside_m[:, None] & (n < 4 * X)[None, :])


@triton.jit
def _weight_gradient(
    small,
    large,
    partial,
    rows,
    SIDE: tl.constexpr,
    X: tl.constexpr,
    C: tl.constexpr,
    Y: tl.constexpr,
    LARGE_BIAS: tl.constexpr,
    TYPE: tl.constexpr,
    PRODUCTS: tl.constexpr,
    STEPS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Write a part's sum over pixels of the products of the two maps, and of one map's values."""
    tile, part, s = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    k = tile * BLOCK_K + tl.arange(0, BLOCK_K)
    tap_k, channel_k = k // X, k % X
    n = tl.arange(0, Y)
    images = rows // (SIDE * SIDE)
    sum_nk = tl.zeros((Y, BLOCK_K), tl.float32)
    sum_n = tl.zeros((Y,), tl.float32)
    # A sum of columns is a product with ones, which is faster; 16 rows are the least.
    ones = tl.full((16, BLOCK_M), 1.0, tl.float32).to(TYPE)
    sum_k = tl.zeros((16, BLOCK_K), tl.float32)
    for step in range(STEPS):
        m = (part * STEPS + step) * BLOCK_M + tl.arange(0, BLOCK_M)
        inside_m = m < rows
        row_mk = 2 * ((m // SIDE) % SIDE)[:, None] + (tap_k // 4 - 1)[None, :]
        column_mk = 2 * (m % SIDE)[:, None] + (tap_k % 4 - 1)[None, :]
        seen_mk = (row_mk >= 0) & (row_mk < 2 * SIDE) & (column_mk >= 0) & (column_mk < 2 * SIDE)
        image_m = s * images + m // (SIDE * SIDE)
        pixel_mk = image_m[:, None] * (4 * SIDE * SIDE) + row_mk * (2 * SIDE) + column_mk
        large_mk = tl.load(
            large + pixel_mk * X + channel_k[None, :], seen_mk & inside_m[:, None], 0.0
        )
        at_mn = (s * rows + m)[:, None] * Y + n[None, :]
        small_mn = tl.load(small + at_mn, inside_m[:, None], 0.0)
        large_mk = large_mk.to(TYPE)
        sum_nk = tl.dot(tl.trans(small_mn.to(TYPE)), large_mk, sum_nk, input_precision=PRODUCTS)
        if LARGE_BIAS:
            sum_k = tl.dot(ones, large_mk, sum_k, input_precision=PRODUCTS)
        elif tile == 0:
            sum_n += tl.sum(small_mn.to(tl.float32), 0)
    partial += (part * tl.num_programs(2) + s) * (Y * 16 * C + (16 * C if LARGE_BIAS else Y))
    at_k = tap_k * C + channel_k
    tl.store(partial + n[:, None] * (16 * C) + at_k[None, :], sum_nk, (channel_k < C)[None, :])
    if LARGE_BIAS:
        tl.store(partial + Y * 16 * C + at_k, tl.max(sum_k, 0), channel_k < C)
    elif tile == 0:
        tl.store(partial + Y * 16 * C + n, sum_n)


@triton.jit
def _sum_parts(
    partial,
    weight,
    bias,
    parts,
    WEIGHTS: tl.constexpr,
    BIASES: tl.constexpr,
    LARGE_BIAS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sum what `_weight_gradient` left."""
    s = tl.program_id(1)
    size = WEIGHTS + (16 * BIASES if LARGE_BIAS else BIASES)
    partial += s * size
    step = tl.num_programs(1) * size
    if tl.program_id(0) < tl.num_programs(0) - 1:
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        total = tl.zeros((BLOCK,), tl.float32)
        for part in range(parts):
            total += tl.load(partial + part * step + at, at < WEIGHTS, 0.0)
        tl.store(weight + s * WEIGHTS + at, total, at < WEIGHTS)
    else:
        n = tl.arange(0, 64)
        bias_n = tl.zeros((64,), tl.float32)
        for part in range(parts):
            if LARGE_BIAS:
                # The four taps in the middle see every pixel of the larger map once.
                for tap in tl.static_range(4):
                    tap_n = (5 + tap % 2 + 4 * (tap // 2)) * BIASES + n
                    bias_n += tl.load(partial + WEIGHTS + part * step + tap_n, n < BIASES, 0.0)
            else:
                bias_n += tl.load(partial + WEIGHTS + part * step + n, n < BIASES, 0.0)
        tl.store(bias + s * BIASES + n, bias_n, n < BIASES)


@triton.jit
def _multiply(
    left,
    right,
    bias,
    activation,
    scale,
    product,
    sums,
    rows: tl.constexpr,
    columns: tl.constexpr,
    inner: tl.constexpr,
    left_training: tl.constexpr,
    left_row: tl.constexpr,
    left_inner: tl.constexpr,
    right_training: tl.constexpr,
    right_inner: tl.constexpr,
    right_column: tl.constexpr,
    BIAS: tl.constexpr,
    SLOPE: tl.constexpr,
    DERIVATIVE: tl.constexpr,
    SCALED: tl.constexpr,
    SUMS: tl.constexpr,
    TYPE: tl.constexpr,
    PRODUCTS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Multiply the matrices of every training."""
    s = tl.program_id(2)
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    left += s * left_training
    right += s * right_training
    product_mn = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    sum_m = tl.zeros((BLOCK_M,), tl.float32)
    for first in range(0, inner, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        left_mk = tl.load(
            left + m[:, None] * left_row + k[None, :] * left_inner,
            (m < rows)[:, None] & (k < inner)[None, :],
            0.0,
        )
        right_kn = tl.load(
            right + k[:, None] * right_inner + n[None, :] * right_column,
            (k < inner)[:, None] & (n < columns)[None, :],
            0.0,
        )
        if SCALED:
            left_mk = left_mk * tl.load(scale + s * inner + k, k < inner, 0.0)[None, :]
        if SUMS:
            if tl.program_id(1) == 0:
                sum_m += tl.sum(left_mk.to(tl.float32), 1)
        product_mn = tl.dot(
            left_mk.to(TYPE), right_kn.to(TYPE), product_mn, input_precision=PRODUCTS
        )
    at_mn = (s * rows + m)[:, None] * columns + n[None, :]
    inside_mn = (m < rows)[:, None] & (n < columns)[None, :]
    if BIAS:
        product_mn += tl.load(bias + s * columns + n, n < columns, 0.0)[None, :]
        product_mn = _activated(product_mn, SLOPE)
    if DERIVATIVE:
        active_mn = tl.load(activation + at_mn, inside_mn, 0.0) > 0
        product_mn = tl.where(active_mn, product_mn, product_mn * SLOPE)
    tl.store(product + at_mn, product_mn.to(product.dtype.element_ty), inside_mn)
    if SUMS:
        if tl.program_id(1) == 0:
            tl.store(sums + s * rows + m, sum_m, m < rows)


@triton.jit
def _likelihood(
    logits,
    x,
    upstream,
    result,
    X: tl.constexpr,
    C: tl.constexpr,
    BERNOULLI: tl.constexpr,
    GRADIENT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write an image's reconstruction error, or its gradient for the logits."""
    image = tl.program_id(0)
    logits += image * (4096 * X)
    x += image * (4096 * X)
    total = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, 4096 * X, BLOCK):
        at = first + tl.arange(0, BLOCK)
        logit = tl.load(logits + at).to(tl.float32)
        value = tl.load(x + at)
        # exp of minus the modulus cannot overflow.
        small = tl.exp(-tl.abs(logit))
        mean = tl.where(logit >= 0, 1.0, small) / (1 + small)
        if GRADIENT:
            slope = mean - value
            if not BERNOULLI:
                slope = 2 * slope * mean * (1 - mean)
            slope = tl.where(at % X < C, slope * tl.load(upstream + image), 0.0)
            tl.store(result + image * (4096 * X) + at, slope.to(result.dtype.element_ty))
        else:
            if BERNOULLI:
                error = tl.maximum(logit, 0.0) - value * logit + tl.log(1 + small)
            else:
                error = (mean - value) * (mean - value)
            total += tl.where(at % X < C, error, 0.0)
    if not GRADIENT:
        tl.store(result + image, tl.sum(total))


@triton.jit
def _gather(
    stored,
    indices,
    x,
    X: tl.constexpr,
    C: tl.constexpr,
    PACKED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write pixels in [0, 1], X channels last, of the images of some indices; of C channels."""
    image = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    pixel, channel = at // X, at % X
    index = tl.load(indices + image)
    if PACKED:
        byte = tl.load(stored + index * (C * 512) + channel * 512 + pixel // 8)
        value = ((byte.to(tl.int32) >> (7 - pixel % 8)) & 1).to(tl.float32)
    else:
        byte = tl.load(stored + index * (C * 4096) + channel * 4096 + pixel, channel < C, 0)
        value = byte.to(tl.float32) / 255
    tl.store(x + image.to(tl.int64) * (X * 4096) + at, value)


def padded(channels: int) -> int:
    """Return how many channels lie in memory for those of an image: what is loaded at once."""
    return triton.next_power_of_2(channels)


def padded_image(x_nhwc: Tensor) -> Tensor:
    """Return an image as the kernels want it: a view of one with `padded` channels."""
    images, height, width, channels = x_nhwc.shape
    pixel = padded(channels)
    if x_nhwc.stride() == (height * width * pixel, width * pixel, pixel, 1):
        return x_nhwc
    laid_out = x_nhwc.new_zeros((images, height, width, pixel))[..., :channels]
    return laid_out.copy_(x_nhwc)


def gather(stored: Tensor, indices_n: Tensor, *, packed: bool) -> Tensor:
    """Return images in [0, 1], float32 N×64×64×C; from bytes N×C×64×64 or, packed, N×C×64×8."""
    channels = stored.shape[1]
    pixel = padded(channels)
    x_nhwc = torch.empty((len(indices_n), 64, 64, pixel), device=stored.device)
    block = 1024
    grid = (len(indices_n), 4096 * pixel // block)
    _gather[grid](stored, indices_n, x_nhwc, pixel, channels, packed, block)
    return x_nhwc[..., :channels]


def convolve(
    x_nhwc: Tensor,
    weight: Tensor,
    arithmetic: Arithmetic,
    *,
    bias: Tensor | None = None,
    activation: Tensor | None = None,
) -> Tensor:
    """Return the 4×4 convolution with stride 2, N×H/2×W/2×Y.

    With a bias S×Y it is added and what is negative becomes 0, as a layer does; with activations
    N×H/2×W/2×Y the result is 0 where these are, as the gradient for a layer's sums is.
    """
    trainings, width, _, channels = weight.shape
    images, side = x_nhwc.shape[0], x_nhwc.shape[1] // 2
    rows = images // trainings * side * side
    y_nhwc = x_nhwc.new_empty((images, side, side, width), dtype=arithmetic.dtype)
    pixel = padded(channels)
    block_m = 128 if side >= 16 else 64
    _convolve[(triton.cdiv(rows, block_m), trainings)](
        *(x_nhwc, weight, bias, activation, y_nhwc, rows),
        SIDE=side,
        X=pixel,
        C=channels,
        Y=width,
        BIAS=bias is not None,
        DERIVATIVE=activation is not None,
        TYPE=_TYPES[arithmetic.dtype],
        PRODUCTS=arithmetic.products,
        BLOCK_M=block_m,
        BLOCK_K=min(arithmetic.block, KERNEL_AREA * pixel),
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
    block_m = 128 if side >= 16 else 64
    _convolve_up[(triton.cdiv(rows, block_m), 4, trainings)](
        *(x_nhwc, weight, bias, activation, y_nhwc, rows),
        SIDE=side,
        X=channels,
        Y=width,
        BIAS=bias is not None,
        DERIVATIVE=activation is not None,
        TYPE=_TYPES[arithmetic.dtype],
        PRODUCTS=arithmetic.products,
        BLOCK_M=block_m,
        BLOCK_K=min(arithmetic.block, 4 * width),
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
    block_m = 128
    _convolve_to_image[(triton.cdiv(rows, block_m), trainings)](
        *(x_nhwc, weight, bias, y_nhwc, rows),
        SIDE=side,
        X=pixel,
        C=channels,
        Y=width,
        TYPE=_TYPES[arithmetic.dtype],
        PRODUCTS=arithmetic.products,
        BLOCK_M=block_m,
    )
    return y_nhwc[..., :channels]


def convolution_gradients(
    small_nhwc: Tensor, large_nhwc: Tensor, weight: Tensor, arithmetic: Arithmetic, *, up: bool
) -> tuple[Tensor, Tensor]:
    """Return the gradients of weights and biases, float32.

    From the smaller map and the larger: input and gradient of a convolution's output are the
    larger and the smaller, of a transposed convolution's (`up`) the smaller and the larger.
    """
    trainings, width, _, channels = weight.shape
    side = small_nhwc.shape[1]
    rows = small_nhwc.shape[0] // trainings * side * side
    pixel = padded(channels)
    columns = KERNEL_AREA * pixel
    block_m, block_k = arithmetic.block, min(128, columns)
    # By shapes alone, so that a training's sums do not depend on the others.
    parts = triton.cdiv(rows, max(512, rows // (64 if pixel <= 4 else 16)))
    steps = triton.cdiv(rows, block_m * parts)
    biases = channels if up else width
    size = weight[0].numel() + (KERNEL_AREA * biases if up else biases)
    partial = torch.empty((parts, trainings, size), device=weight.device)
    _weight_gradient[(columns // block_k, parts, trainings)](
        *(small_nhwc, large_nhwc, partial, rows),
        SIDE=side,
        X=pixel,
        C=channels,
        Y=width,
        LARGE_BIAS=up,
        TYPE=_TYPES[arithmetic.dtype],
        PRODUCTS=arithmetic.products,
        STEPS=steps,
        BLOCK_M=block_m,
        BLOCK_K=block_k,
    )
    of_weight, of_bias = torch.empty_like(weight), weight.new_empty((trainings, biases))
    block = 512
    _sum_parts[(triton.cdiv(weight[0].numel(), block) + 1, trainings)](
        *(partial, of_weight, of_bias, parts),
        WEIGHTS=weight[0].numel(),
        BIASES=biases,
        LARGE_BIAS=up,
        BLOCK=block,
    )
    return of_weight, of_bias


def multiply(
    left: Tensor,
    right: Tensor,
    arithmetic: Arithmetic,
    *,
    bias: Tensor | None = None,
    slope: float = 1,
    activation: Tensor | None = None,
    scale: Tensor | None = None,
    sums: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return the products S×M×N of matrices S×M×K and S×K×N.

    With a bias S×N it is added and what is negative multiplied by `slope`, as a layer does; with
    activations S×M×N the product is multiplied by `slope` where these are not positive. Columns of
    the left matrix are multiplied by `scale`, S×K, and their sum is put into `sums`, S×M.
    """
    trainings, rows, inner = left.shape
    columns = right.shape[2]
    product = left.new_empty((trainings, rows, columns), dtype=dtype or arithmetic.dtype)
    block_m, block_n = _block(rows), _block(columns)
    if block_m < 128 or block_n < 128:
        # More programs share the way along the inner axis.
        block_n = min(block_n, 32)
    block_k = min(arithmetic.block, max(16, triton.next_power_of_2(inner)))
    _multiply[(triton.cdiv(rows, block_m), triton.cdiv(columns, block_n), trainings)](
        *(left, right, bias, activation, scale, product, sums, rows, columns, inner),
        *left.stride(),
        *right.stride(),
        BIAS=bias is not None,
        SLOPE=slope,
        DERIVATIVE=activation is not None,
        SCALED=scale is not None,
        SUMS=sums is not None,
        TYPE=_TYPES[arithmetic.dtype],
        PRODUCTS=arithmetic.products,
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        BLOCK_K=block_k,
        num_warps=8 if block_m * block_n > 8192 else 4,
    )
    return product


def _block(size: int) -> int:
    """Return how many rows or columns a program has: no less than the tensor cores want."""
    return min(128, max(16, triton.next_power_of_2(size)))


def reconstruction_error(logits_nhwc: Tensor, x_nhwc: Tensor, likelihood: str) -> Tensor:
    """Return `objective.LIKELIHOODS` of every image, N; both as `padded_image`."""
    channels = x_nhwc.shape[3]
    error_n = torch.empty(len(x_nhwc), device=x_nhwc.device)
    _likelihood[(len(x_nhwc),)](
        *(logits_nhwc, x_nhwc, None, error_n),
        *(padded(channels), channels, likelihood == "bernoulli", False, 1024),
    )
    return error_n


def reconstruction_error_gradient(
    logits_nhwc: Tensor, x_nhwc: Tensor, likelihood: str, upstream_n: Tensor
) -> Tensor:
    """Return the gradient for the logits, like these, from that for the errors, N."""
    images, height, width, channels = x_nhwc.shape
    pixel = padded(channels)
    gradient_nhwc = logits_nhwc.new_empty((images, height, width, pixel))
    _likelihood[(images,)](
        *(logits_nhwc, x_nhwc, upstream_n.contiguous(), gradient_nhwc),
        *(pixel, channels, likelihood == "bernoulli", True, 1024),
    )
    return gradient_nhwc[..., :channels]
