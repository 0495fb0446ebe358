"""What the kernels compute in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from triton import knobs
from triton.runtime import driver

MOST_REGISTERS = 255
"""That a thread can have."""
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
        return {"TYPE": _TYPES[self.dtype], "PRODUCTS": self.products, **_registers()}

    @property
    def splits(self) -> bool:
        """Whether factors are split, so that twice as many registers hold them."""
        return self.products == "tf32x3"

    @property
    def block(self) -> int:
        """Length of the pieces in which sums are computed: 128 bytes."""
        return 128 // self.dtype.itemsize


def _registers() -> dict[str, int]:
    """Return what keeps the assembler from spilling some bytes so that more programs fit.

    An H100, on which the launches were measured, is left as it was. No result depends on it.
    """
    if knobs.runtime.interpret or driver.active.get_current_target().arch == 90:
        return {}
    return {"maxnreg": MOST_REGISTERS}


@triton.jit
def activated(y, SLOPE: tl.constexpr):
    """Return the activations of sums: `SLOPE` times them below 0."""
    return tl.where(y > 0, y, y * SLOPE)
