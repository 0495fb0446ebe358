"""What `convolutions` launches: programs, each of which has a block of the result.

Of convolutions of kernel 4, stride 2 and padding 1, SIDE is the smaller map's side, Y the smaller
map's channels and X the larger map's, C of them without padding.
"""

from __future__ import annotations

import triton
import triton.language as tl

from betagvae.model.kernels.arithmetic import activated
from betagvae.model.kernels.images import pixels


@triton.jit
def _places(m, s, rows, SIDE: tl.constexpr):
    """Return row, column and image of a training's pixels; images are those of all trainings."""
    images = rows // (SIDE * SIDE)
    return (m // SIDE) % SIDE, m % SIDE, s * images + m // (SIDE * SIDE)


@triton.jit
def _window(row_m, column_m, image_m, tap_k, SIDE: tl.constexpr):
    """Return the pixels of twice the side that taps of a 4×4 window see, and which there are."""
    row_mk = 2 * row_m[:, None] + (tap_k // 4 - 1)[None, :]
    column_mk = 2 * column_m[:, None] + (tap_k % 4 - 1)[None, :]
    seen_mk = (row_mk >= 0) & (row_mk < 2 * SIDE) & (column_mk >= 0) & (column_mk < 2 * SIDE)
    pixel_mk = image_m[:, None] * (4 * SIDE * SIDE) + row_mk * (2 * SIDE) + column_mk
    return pixel_mk, seen_mk


@triton.jit
def _finish(
    y_mn,
    y,
    at_mn,
    inside_m,
    bias,
    bias_n,
    activation,
    BIAS: tl.constexpr,
    DERIVATIVE: tl.constexpr,
):
    """Write a layer's activations from sums, or the sums' gradient from the activations'."""
    if BIAS:
        y_mn = activated(y_mn + tl.load(bias + bias_n)[None, :], 0.0)
    if DERIVATIVE:
        y_mn = tl.where(tl.load(activation + at_mn, inside_m[:, None], 0.0) > 0, y_mn, 0.0)
    tl.store(y + at_mn, y_mn.to(y.dtype.element_ty), inside_m[:, None])


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
    row_m, column_m, image_m = _places(m, s, rows, SIDE)
    weight += s * (Y * 16 * C)
    y_mn = tl.zeros((BLOCK_M, Y), tl.float32)
    for first in range(0, 16 * X, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        tap_k, channel_k = k // X, k % X
        pixel_mk, seen_mk = _window(row_m, column_m, image_m, tap_k, SIDE)
        x_mk = tl.load(x + pixel_mk * X + channel_k[None, :], seen_mk & inside_m[:, None], 0)
        at_kn = (tap_k * C + channel_k)[:, None] + n[None, :] * (16 * C)
        weight_kn = tl.load(weight + at_kn, (channel_k < C)[:, None], 0.0)
        y_mn = tl.dot(pixels(x_mk).to(TYPE), weight_kn.to(TYPE), y_mn, input_precision=PRODUCTS)
    at_mn = (s * rows + m)[:, None] * Y + n[None, :]
    _finish(y_mn, y, at_mn, inside_m, bias, s * Y + n, activation, BIAS, DERIVATIVE)


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
    row_m, column_m, image_m = _places(m, s, rows, SIDE)
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
    _finish(y_mn, y, at_mn, inside_m, bias, s * X + n, activation, BIAS, DERIVATIVE)


@triton.jit
def _arrange(
    weight, arranged, X: tl.constexpr, C: tl.constexpr, Y: tl.constexpr, COLUMNS: tl.constexpr
):
    """Write what `_convolve_to_image` multiplies one of the 3×3 pixels with, COLUMNS×Y."""
    neighbour, s = tl.program_id(0), tl.program_id(1)
    below, beside = neighbour // 3 - 1, neighbour % 3 - 1
    n, k = tl.arange(0, COLUMNS), tl.arange(0, Y)
    down_n, right_n, channel_n = n // (2 * X), (n // X) % 2, n % X
    row_n, column_n = 1 + down_n - 2 * below, 1 + right_n - 2 * beside
    sees_n = (row_n >= 0) & (row_n < 4) & (column_n >= 0) & (column_n < 4)
    sees_n = sees_n & (n < 4 * X) & (channel_n < C)
    at_n = (4 * row_n + column_n) * C + channel_n
    at_nk = (s * Y + k)[None, :] * (16 * C) + at_n[:, None]
    weight_nk = tl.load(weight + at_nk, sees_n[:, None], 0.0)
    arranged += (s * tl.num_programs(0) + neighbour) * (COLUMNS * Y)
    tl.store(arranged + n[:, None] * Y + k[None, :], weight_nk.to(arranged.dtype.element_ty))


@triton.jit
def _convolve_to_image(
    x,
    arranged,
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
    COLUMNS: tl.constexpr,
):
    """Write twice the side from SIDE×SIDE pixels of Y channels; of its X ≤ 4 channels C are used.

    The pixels of all four parities are the columns of one product over the 3×3 pixels around. Each
    program needs the weights of all, which is why they come as `_arrange` lays them out.
    """
    s = tl.program_id(1)
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_m = m < rows
    n = tl.arange(0, COLUMNS)
    k = tl.arange(0, Y)
    row_m, column_m, image_m = _places(m, s, rows, SIDE)
    arranged += s * (9 * COLUMNS * Y)
    y_mn = tl.zeros((BLOCK_M, COLUMNS), tl.float32)
    for neighbour in range(9):
        below, beside = neighbour // 3 - 1, neighbour % 3 - 1
        row_m1, column_m1 = row_m + below, column_m + beside
        seen_m = (row_m1 >= 0) & (row_m1 < SIDE) & (column_m1 >= 0) & (column_m1 < SIDE) & inside_m
        pixel_m = image_m * (SIDE * SIDE) + row_m1 * SIDE + column_m1
        x_mk = tl.load(x + pixel_m[:, None] * Y + k[None, :], seen_m[:, None], 0.0)
        weight_kn = tl.load(arranged + (neighbour * COLUMNS + n)[None, :] * Y + k[:, None])
        y_mn = tl.dot(x_mk.to(TYPE), weight_kn.to(TYPE), y_mn, input_precision=PRODUCTS)
    down_n, right_n, channel_n = n // (2 * X), (n // X) % 2, n % X
    used_n = (n < 4 * X) & (channel_n < C)
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
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Write a part's sum over pixels of the products of the two maps, and of one map's values."""
    tile_k, tile_n = tl.program_id(0) // (Y // BLOCK_N), tl.program_id(0) % (Y // BLOCK_N)
    part, s = tl.program_id(1), tl.program_id(2)
    k = tile_k * BLOCK_K + tl.arange(0, BLOCK_K)
    tap_k, channel_k = k // X, k % X
    n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    sum_nk = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    # A sum over the larger map's pixels is a product with ones, of which 16 rows are the least; the
    # smaller map's values are few enough to be added up after the steps. That some programs have
    # it for nothing costs less than a condition among the steps.
    ones = tl.full((16, BLOCK_M), 1.0, tl.float32).to(TYPE)
    sums = tl.zeros((16, BLOCK_K) if LARGE_BIAS else (BLOCK_M, BLOCK_N), tl.float32)
    for step in range(STEPS):
        m = (part * STEPS + step) * BLOCK_M + tl.arange(0, BLOCK_M)
        inside_m = m < rows
        row_m, column_m, image_m = _places(m, s, rows, SIDE)
        pixel_mk, seen_mk = _window(row_m, column_m, image_m, tap_k, SIDE)
        large_mk = tl.load(
            large + pixel_mk * X + channel_k[None, :], seen_mk & inside_m[:, None], 0
        )
        at_mn = (s * rows + m)[:, None] * Y + n[None, :]
        small_mn = tl.load(small + at_mn, inside_m[:, None], 0.0)
        large_mk = pixels(large_mk).to(TYPE)
        sum_nk = tl.dot(tl.trans(small_mn.to(TYPE)), large_mk, sum_nk, input_precision=PRODUCTS)
        if LARGE_BIAS:
            sums = tl.dot(ones, large_mk, sums, input_precision=PRODUCTS)
        else:
            sums += small_mn.to(tl.float32)
    partial += (part * tl.num_programs(2) + s) * (Y * 16 * C + (16 * C if LARGE_BIAS else Y))
    at_k = tap_k * C + channel_k
    tl.store(partial + n[:, None] * (16 * C) + at_k[None, :], sum_nk, (channel_k < C)[None, :])
    if LARGE_BIAS:
        tl.store(partial + Y * 16 * C + at_k, tl.max(sums, 0), (channel_k < C) & (tile_n == 0))
    else:
        tl.store(partial + Y * 16 * C + n, tl.sum(sums, 0), (n < Y) & (tile_k == 0))


@triton.jit
def _sum_parts(
    partial,
    weight,
    bias,
    parts,
    WEIGHTS: tl.constexpr,
    BIASES: tl.constexpr,
    LARGE_BIAS: tl.constexpr,
    PARTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sum what `_weight_gradient` left; all parts at once, so that one load waits for no other."""
    s = tl.program_id(1)
    size = WEIGHTS + (16 * BIASES if LARGE_BIAS else BIASES)
    part = tl.arange(0, PARTS)[:, None]
    partial += (part * tl.num_programs(1) + s) * size
    if tl.program_id(0) < tl.num_programs(0) - 1:
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = (part < parts) & (at < WEIGHTS)[None, :]
        total = tl.sum(tl.load(partial + at[None, :], inside, 0.0), 0)
        tl.store(weight + s * WEIGHTS + at, total, at < WEIGHTS)
    else:
        n = tl.arange(0, 64)
        inside = (part < parts) & (n < BIASES)[None, :]
        if LARGE_BIAS:
            bias_n = tl.zeros((64,), tl.float32)
            # The four taps in the middle see every pixel of the larger map once.
            for tap in tl.static_range(4):
                tap_n = (5 + tap % 2 + 4 * (tap // 2)) * BIASES + n
                bias_n += tl.sum(tl.load(partial + WEIGHTS + tap_n[None, :], inside, 0.0), 0)
        else:
            bias_n = tl.sum(tl.load(partial + WEIGHTS + n[None, :], inside, 0.0), 0)
        tl.store(bias + s * BIASES + n, bias_n, n < BIASES)
