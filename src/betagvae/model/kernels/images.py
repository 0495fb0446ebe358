"""Images: from bytes to pixels, and how well they are reconstructed."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def pixels(value):
    """Return pixels in [0, 1] of images that are these already, or bytes.

    Up to rounding what a division gives, which would take several times as long.
    """
    return value.to(tl.float32) * (1 / 255) if value.dtype == tl.uint8 else value


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
        value = pixels(tl.load(x + at))
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
    """Write pixels in [0, 1], or bytes, X channels last, of some images; of C channels."""
    image = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    pixel, channel = at // X, at % X
    index = tl.load(indices + image)
    if PACKED:
        byte = tl.load(stored + index * (C * 512) + channel * 512 + pixel // 8)
        value = ((byte.to(tl.int32) >> (7 - pixel % 8)) & 1).to(tl.float32)
    else:
        byte = tl.load(stored + index * (C * 4096) + channel * 4096 + pixel, channel < C, 0)
        value = byte.to(tl.float32) / 255 if x.dtype.element_ty == tl.float32 else byte
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


def gather(
    stored: Tensor, indices_n: Tensor, *, packed: bool, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return images N×64×64×C, in [0, 1] if float32; from bytes N×C×64×64 or, packed, N×C×64×8."""
    channels = stored.shape[1]
    pixel = padded(channels)
    x_nhwc = torch.empty((len(indices_n), 64, 64, pixel), dtype=dtype, device=stored.device)
    block = 1024
    grid = (len(indices_n), 4096 * pixel // block)
    _gather[grid](stored, indices_n, x_nhwc, pixel, channels, packed, block)
    return x_nhwc[..., :channels]


def reconstruction_error(logits_nhwc: Tensor, x_nhwc: Tensor, likelihood: str) -> Tensor:
    """Return `objective.LIKELIHOODS` of every image, N; both as `padded_image`, x or its bytes."""
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
