"""Products of matrices, with what a fully connected layer does beside them."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from betagvae.model.kernels.arithmetic import Arithmetic, activated


@triton.jit
def block_of(matrix, m, k, rows, columns, row_stride, column_stride):
    """Return rows m of columns k of a matrix; what is beyond it is 0."""
    at_mk = m[:, None] * row_stride + k[None, :] * column_stride
    return tl.load(matrix + at_mk, (m < rows)[:, None] & (k < columns)[None, :], 0.0)


@triton.jit
def _multiply(
    left,
    right,
    bias,
    activation,
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
    SUMS: tl.constexpr,
    TYPE: tl.constexpr,
    PRODUCTS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Write a block of a training's product M×N (rows, columns) of matrices M×K and K×N (inner).

    Factors lie at any strides; bias S×N, activation S×M×N, product and sums, S×M×N and S×M, are
    contiguous.
    """
    s = tl.program_id(2)
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    left += s * left_training
    right += s * right_training
    product_mn = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for first in range(0, inner, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        left_mk = block_of(left, m, k, rows, inner, left_row, left_inner)
        right_kn = block_of(right, k, n, inner, columns, right_inner, right_column)
        product_mn = tl.dot(
            left_mk.to(TYPE), right_kn.to(TYPE), product_mn, input_precision=PRODUCTS
        )
    at_mn = (s * rows + m)[:, None] * columns + n[None, :]
    inside_mn = (m < rows)[:, None] & (n < columns)[None, :]
    if BIAS:
        product_mn += tl.load(bias + s * columns + n, n < columns, 0.0)[None, :]
        product_mn = activated(product_mn, SLOPE)
    if DERIVATIVE:
        active_mn = tl.load(activation + at_mn, inside_mn, 0.0) > 0
        product_mn = tl.where(active_mn, product_mn, product_mn * SLOPE)
    tl.store(product + at_mn, product_mn.to(product.dtype.element_ty), inside_mn)
    if SUMS:
        # Apart from the products, whose loop a condition would slow down.
        if tl.program_id(1) == 0:
            sum_m = tl.zeros((BLOCK_M,), tl.float32)
            for first in range(0, inner, BLOCK_K):
                k = first + tl.arange(0, BLOCK_K)
                left_mk = block_of(left, m, k, rows, inner, left_row, left_inner)
                sum_m += tl.sum(left_mk.to(tl.float32), 1)
            tl.store(sums + s * rows + m, sum_m, m < rows)


def multiply(
    left: Tensor,
    right: Tensor,
    arithmetic: Arithmetic,
    *,
    bias: Tensor | None = None,
    slope: float = 1,
    activation: Tensor | None = None,
    sums: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return the products S×M×N of matrices S×M×K and S×K×N.

    With a bias S×N it is added and what is negative multiplied by `slope`, as a layer does; with
    activations S×M×N the product is multiplied by `slope` where these are not positive. The sum
    of the left matrix's columns is put into `sums`, S×M.
    """
    trainings, rows, inner = left.shape
    columns = right.shape[2]
    product = left.new_empty((trainings, rows, columns), dtype=dtype or arithmetic.dtype)
    launch = _launch(rows, columns, inner, arithmetic, along_inner=right.stride(1) == 1)
    blocks = triton.cdiv(rows, launch["BLOCK_M"]), triton.cdiv(columns, launch["BLOCK_N"])
    _multiply[(*blocks, trainings)](
        *(left, right, bias, activation, product, sums, rows, columns, inner),
        *left.stride(),
        *right.stride(),
        BIAS=bias is not None,
        SLOPE=slope,
        DERIVATIVE=activation is not None,
        SUMS=sums is not None,
        **arithmetic.factors,
        **launch,
    )
    return product


def _launch(
    rows: int, columns: int, inner: int, arithmetic: Arithmetic, *, along_inner: bool
) -> dict[str, int]:
    """Return how `_multiply` is launched; `along_inner` is how the right matrix lies in memory."""
    block_m, block_n = block_size(rows, 128), block_size(columns, 128)
    # With fewer rows or columns more programs share the way along the inner axis.
    narrow = block_m < 128 or block_n < 128
    warps = 4
    if arithmetic.dtype == torch.float32:
        # Small, so that few trainings fill a GPU.
        block_m, block_n = min(64, block_m), min(32 if narrow else 64, block_n)
        # Two warps multiply with mma: wgmma, that of four on sm_90, wants a right matrix that lies
        # along the inner axis, and another would arrive by four bytes instead of sixteen.
        warps = 4 if along_inner else 2
        if arithmetic.splits and not along_inner:
            block_n = min(32, block_n)  # Both halves of every factor fit the registers.
    elif narrow:
        block_n = min(32, block_n)
    elif inner > 128:
        block_n = 64
    block_k = min(arithmetic.block, block_size(inner, 128))
    sizes = {"BLOCK_M": block_m, "BLOCK_N": block_n, "BLOCK_K": block_k}
    # A fourth stage of wide blocks would be 4 % faster on an H100 and too large for an RTX 3090.
    return {**sizes, "num_warps": warps, "num_stages": 4 if narrow else 3}


def block_size(size: int, most: int) -> int:
    """Return how many a program has of a size: no less than the tensor cores want."""
    return min(most, max(16, triton.next_power_of_2(size)))
