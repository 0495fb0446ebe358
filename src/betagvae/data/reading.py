"""Reading an archive's images on several processor cores: cropping, resizing, skipping."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch.nn.functional import interpolate
from tqdm import tqdm

from betagvae.data.arrays import SIDE
from betagvae.data.decoding import Crop, Read, SkipError
from betagvae.data.parallel import in_order

T = TypeVar("T")

_BATCH = 128
"""Images that a process reads at a time."""
_GROUP_BYTES = 4 * 2**20
"""Of pixels that are resized at a time; with a quarter of that it takes as long."""


class Batch(NamedTuple):
    """Some of the images of an archive."""

    images: np.ndarray
    """uint8 N×C×64×64; overwritten once the next batch is asked for."""
    skipped: Counter[str]
    """Number of images left out, by reason."""


@dataclass(frozen=True)
class _ReadBatch(Generic[T]):
    """Reads, crops and resizes some images."""

    archive: Path
    read: Read[T]
    crop: Crop | None
    grey: bool

    def __call__(self, items: Sequence[T], images: np.ndarray) -> Counter[str]:
        """Write the images to the beginning of ``images``; count the others by reason."""
        torch.set_num_threads(1)  # of one of several processes
        count, skipped = 0, Counter()
        for group in shrink(self._read(items, skipped)):
            images[count : count + len(group)] = to_grey(group) if self.grey else group
            count += len(group)
        return skipped

    def _read(self, items: Sequence[T], skipped: Counter[str]) -> Iterator[np.ndarray]:
        # Opened here: processes that share an open file share its position.
        with self.archive.open("rb") as file:
            for item in items:
                try:
                    yield cut(self.read(file, item), self.crop)
                except SkipError as reason:
                    skipped[str(reason)] += 1


def read_batches(
    archive: Path,
    read: Read[T],
    splits: Mapping[str, Sequence[T]],
    *,
    crop: Crop | None,
    channels: int,
    threads: int,
    name: str,
) -> Iterator[tuple[str, Batch]]:
    """Read images on several processor cores, in the order of ``splits``.

    Parameters
    ----------
    archive
        The file that they are in.
    read
        Reads one of them.
    splits
        Name to what to read.
    crop
        What to cut out before the resize.
    channels
        1 (grey) or 3.
    threads
        Processor cores to use.
    name
        What the progress bar says.

    Yields
    ------
    Name of a split, and some of its images.
    """
    batches = [
        (split, items[first : first + _BATCH])
        for split, items in splits.items()
        for first in range(0, len(items), _BATCH)
    ]
    work = [items for _, items in batches]
    shape = (_BATCH, channels, SIDE, SIDE)
    results = in_order(_ReadBatch(archive, read, crop, channels == 1), work, threads, shape)
    with tqdm(total=sum(map(len, work)), desc=name, unit="img", disable=None) as progress:
        for (split, items), (images, skipped) in zip(batches, results, strict=True):
            progress.update(len(items))
            yield split, Batch(images[: len(items) - skipped.total()], skipped)


def cut(image: np.ndarray, crop: Crop | None) -> np.ndarray:
    """Cut out the crop: H×W×3 → its height × its width × 3."""
    if crop is None:
        return image
    left, top, right, bottom = crop
    if right > image.shape[1] or bottom > image.shape[0]:
        raise SkipError("smaller than the crop")
    return image[top:bottom, left:right]


def shrink(images: Iterable[np.ndarray]) -> Iterator[torch.Tensor]:
    """Resize (bilinear, antialiased) images, each uint8 H×W×3, in order.

    Those that follow one another and have one size are resized together, which takes about half
    of the time that they would take one by one.

    Yields
    ------
    Some of them, uint8 N×3×64×64.
    """
    for shape, alike in itertools.groupby(images, key=np.shape):
        pixels = np.empty((max(1, _GROUP_BYTES // math.prod(shape)), *shape), np.uint8)
        while count := _fill(pixels, alike):
            group = torch.from_numpy(pixels[:count]).permute(0, 3, 1, 2)
            # What torchvision's resize does.
            yield interpolate(group, (SIDE, SIDE), mode="bilinear", antialias=True)


def _fill(pixels: np.ndarray, images: Iterator[np.ndarray]) -> int:
    """Copy as many images as there are into N×H×W×3, at most N; return their number."""
    count = 0
    for image in itertools.islice(images, len(pixels)):
        pixels[count] = image
        count += 1
    return count


def to_grey(images: torch.Tensor) -> torch.Tensor:
    """Return the luma of ITU-R BT.601: uint8 N×3×64×64 → N×1×64×64.

    In Pillow's whole numbers, so that it is the same on every processor.
    """
    red, green, blue = images.numpy().astype(np.uint32).transpose(1, 0, 2, 3)
    grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    return torch.from_numpy(grey.astype(np.uint8))[:, None]
