"""Where tensors live and where random numbers come from."""

import ctypes
import hashlib
import os
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from betagvae.data.arrays import ImageArray
from betagvae.errors import UserError


@dataclass(frozen=True)
class Precision:
    """What networks compute in; sums, losses, weights and optimisers are float32 in any."""

    dtype: torch.dtype
    """Of activations, and of the factors of products."""
    float32_products: str
    """How PyTorch's kernels for a GPU multiply float32 factors, in its words."""
    stacked_products: str
    """How those of `kernels` do, in Triton's words: tf32x3 adds three products of TF32, whose error
    is about that of float32 (Ootomo & Yokota 2022), on units that are many times faster."""
    oldest_gpu: tuple[int, int]
    """Compute capability from which on Triton compiles the kernels."""


PRECISIONS = {
    "float32": Precision(torch.float32, "ieee", "tf32x3", (7, 5)),
    # Before 8.0 there are no units for TF32, and factors stay whole.
    "tf32": Precision(torch.float32, "tf32", "tf32", (7, 5)),
    "bfloat16": Precision(torch.bfloat16, "ieee", "ieee", (8, 0)),
}


def set_up(threads: int, precision: str = "float32") -> torch.device:
    """Return the GPU if there is one, else the CPU, set to give the same bytes every time.

    The number of threads is part of what makes results equal on a CPU: sums are split by it.

    Raises
    ------
    UserError
        When the GPU is too old for `precision`, one of `PRECISIONS`.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        _check_gpu(device, precision)
    _keep_freed_memory()
    products = PRECISIONS[precision].float32_products
    torch.backends.cuda.matmul.fp32_precision = products
    torch.backends.cudnn.conv.fp32_precision = products
    # cuBLAS is deterministic with a fixed workspace; it reads this when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Filling fresh memory would only make the reading of unset values repeatable; none is read.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
    return device


def _check_gpu(device: torch.device, precision: str) -> None:
    found, oldest = torch.cuda.get_device_capability(device), PRECISIONS[precision].oldest_gpu
    if found < oldest:
        has, needed = (".".join(map(str, capability)) for capability in (found, oldest))
        raise UserError(
            f"the {torch.cuda.get_device_name(device)} has compute capability {has}, and a GPU's "
            f"kernels in {precision} need {needed} or later: use another GPU, or the processor "
            "(CUDA_VISIBLE_DEVICES=)"
        )


def _keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next batch.

    It would give large blocks back, and the next step would wait for the same pages to be
    cleared again: ten thousand page faults a step. Only glibc knows these settings.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(mmap_threshold, 32 * 2**20)
        mallopt(trim_threshold, 2**30)


def computing_in(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which networks compute in one of `PRECISIONS`.

    Micikevicius et al. 2018 (Mixed precision training), without its scaling of the loss: bfloat16
    reaches as far as float32.
    """
    enabled = PRECISIONS[precision].dtype == torch.bfloat16
    # Hardly a weight is used twice in a step.
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)


def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random stream of its own for each purpose, so that none shifts another.

    Runs that share a seed hence share initial weights, batches and posterior noise whatever
    their method, and can be compared in pairs.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


class DeviceImages:
    """A data set's stored bytes, resident on the device; batches are gathered by index.

    On a CPU the bytes stay memory-mapped, and the operating system's cache holds them.

    Raises
    ------
    UserError
        When a GPU's kernels cannot be compiled on this machine.
    """

    def __init__(self, array: ImageArray, device: torch.device) -> None:
        if device.type == "cuda":
            # Imported where a GPU is used, since Triton exists for Linux alone.
            from betagvae.model.kernels import check_compiler

            check_compiler()
        # Copy-on-write pages: PyTorch wants memory that may be written, and nothing writes.
        stored = np.memmap(
            array.stored.filename,
            dtype=np.uint8,
            mode="c",
            offset=array.stored.offset,
            shape=array.stored.shape,
        )
        self._stored = torch.from_numpy(stored).to(device)
        self._packed = array.packed
        self.channels = array.channels
        self.splits = array.splits
        # Eight pixels for every value that a byte of a packed array can have.
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
        self._pixels = torch.from_numpy(bits).to(device, torch.float32)
        self.device = device

    def stacked_batch(self, indices_n: Tensor) -> Tensor:
        """Return images as `betagvae.model.stacked` takes them: as `batch`, or as bytes.

        A pixel's bytes are a quarter of its numbers to read. They are copied by four, that is with
        all channels of a colour image; of another they would come one by one.
        """
        if self.device.type == "cuda" and self.channels > 1:
            from betagvae.model.kernels import gather

            x_nhwc = gather(self._stored, indices_n, packed=self._packed, dtype=torch.uint8)
            return x_nhwc.permute(0, 3, 1, 2)
        return self.batch(indices_n)

    def batch(self, indices_b: Tensor) -> Tensor:
        """Return images in [0, 1], float32 B×C×64×64, channels interleaved in memory."""
        if self.device.type == "cuda":
            from betagvae.model.kernels import gather

            return gather(self._stored, indices_b, packed=self._packed).permute(0, 3, 1, 2)
        bytes_bchw = self._stored.index_select(0, indices_b)
        if self._packed:
            x_bchw = F.embedding(bytes_bchw.int(), self._pixels).flatten(3)  # from B×C×64×8×8
        else:
            x_bchw = bytes_bchw.float().div_(255)
        return x_bchw.contiguous(memory_format=torch.channels_last)
