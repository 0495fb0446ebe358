"""Triton kernels of the networks, for a GPU: each does a layer of several trainings at once.

At batch 64 a layer of one training is too small to fill a GPU and over before the next kernel has
started. All trainings of a stack hence go through a layer together, a kernel for each, and bias,
activation and its derivative are part of the kernel. What a training gets does not depend on the
trainings beside it: sums are split by shapes alone.

Feature maps are N×H×W×C, channels last, the images of all S trainings one after the other. Weights
of either kind of 4×4 convolution are S×(channels of the smaller map)×16×(channels of the larger).
"""

from betagvae.model.kernels.arithmetic import Arithmetic
from betagvae.model.kernels.compiler import check_compiler
from betagvae.model.kernels.convolutions import (
    convolution_gradients,
    convolve,
    convolve_to_image,
    convolve_up,
)
from betagvae.model.kernels.descent import adam_rates, descend
from betagvae.model.kernels.images import (
    gather,
    padded_image,
    reconstruction_error,
    reconstruction_error_gradient,
)
from betagvae.model.kernels.products import multiply

__all__ = [
    "Arithmetic",
    "adam_rates",
    "check_compiler",
    "convolution_gradients",
    "convolve",
    "convolve_to_image",
    "convolve_up",
    "descend",
    "gather",
    "multiply",
    "padded_image",
    "reconstruction_error",
    "reconstruction_error_gradient",
]
