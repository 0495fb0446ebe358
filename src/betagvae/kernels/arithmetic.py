"""What the kernels compute in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16}


@dataclass(frozen=True)
class Arithmetic:
    """What products are computed in; sums are float32."""

    dtype: torch.dtype
    """Of activations, and of the factors of products."""
    products: str
    """How float32 factors are multiplied, in Triton's words."""

    @property
    def factors(self) -> dict[str, object]:
        """What the products of a kernel are told."""
        return {"TYPE": _TYPES[self.dtype], "PRODUCTS": self.products}

    @property
    def block(self) -> int:
        """Length of the pieces in which sums are computed: 128 bytes."""
        return 128 // self.dtype.itemsize


@triton.jit
def activated(y, SLOPE: tl.constexpr):
    """Return the activations of sums: `SLOPE` times them below 0."""
    return tl.where(y > 0, y, y * SLOPE)
