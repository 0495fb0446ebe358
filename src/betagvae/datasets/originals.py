"""What reading the original archives has in common: cropping, resizing, skipping, counting."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torchvision.transforms.v2 import functional
from tqdm import tqdm

from betagvae.arrays import SIDE
from betagvae.datasets.parallel import in_order
from betagvae.errors import UserError

Crop = tuple[int, int, int, int]
T = TypeVar("T")

_BATCH = 256


class SkipError(Exception):
    """An image that cannot be used; the message is the reason under which it is counted."""


class Batch(NamedTuple):
    """Some of the images of an archive."""

    images: np.ndarray
    """uint8 N×C×64×64."""
    skipped: Counter[str]
    """Number of images left out, by reason."""


def read_batches(
    read: Callable[[T], torch.Tensor], items: Sequence[T], *, channels: int, threads: int, name: str
) -> Iterator[Batch]:
    """Read images on several threads, in the order of ``items``.

    Parameters
    ----------
    read
        Returns one image, uint8 C×64×64, or raises `SkipError`.
    items
        What to read, N.
    channels
        C.
    threads
        Images read at a time.
    name
        What the progress bar says.
    """

    def read_batch(batch: Sequence[T]) -> Batch:
        images, skipped = [], Counter()
        for item in batch:
            try:
                images.append(read(item))
            except SkipError as reason:
                skipped[str(reason)] += 1
        empty = torch.empty((0, channels, SIDE, SIDE), dtype=torch.uint8)
        return Batch((torch.stack(images) if images else empty).numpy(), skipped)

    batches = (items[first : first + _BATCH] for first in range(0, len(items), _BATCH))
    with (
        one_torch_thread(),
        tqdm(total=len(items), desc=name, unit="img", disable=None) as progress,
    ):
        for batch in in_order(read_batch, batches, threads):
            progress.update(len(batch.images) + batch.skipped.total())
            yield batch


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep PyTorch from using threads of its own: the images themselves are read in parallel."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def to_tensor(data: bytes) -> torch.Tensor:
    """Return a file's content as torchvision's decoders take it, uint8."""
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def shrink(image: torch.Tensor, crop: Crop | None) -> torch.Tensor:
    """Cut out the crop, then resize (bilinear, antialiased): uint8 C×H×W → C×64×64."""
    if crop is not None:
        left, top, right, bottom = crop
        if right > image.shape[-1] or bottom > image.shape[-2]:
            raise SkipError("smaller than the crop")
        image = image[:, top:bottom, left:right]
    return functional.resize(image, [SIDE, SIDE], antialias=True)


def check_crop(crop: Crop | None, key: str) -> None:
    """Refuse a crop that holds no pixel."""
    if crop is not None:
        left, top, right, bottom = crop
        if not (0 <= left < right and 0 <= top < bottom):
            raise UserError(f"{key} is {list(crop)}: give left < right and top < bottom, all ≥ 0")


def preprocessing(crop: Crop | None, colours: str) -> dict[str, Any]:
    """Describe what was done to the pixels."""
    return {
        "crop": list(crop) if crop else None,
        "resize": f"{SIDE}×{SIDE}, bilinear, antialiased, aspect ratio not kept",
        "colours": colours,
    }


def total(counts: Iterable[Counter[str]]) -> dict[str, int]:
    """Add up the counts of what was skipped; reasons in alphabetical order."""
    return dict(sorted(sum(counts, Counter()).items()))
