"""What reading the original archives has in common: cropping, resizing, skipping, counting."""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch.nn.functional import interpolate
from tqdm import tqdm

from betagvae.arrays import SIDE, ArrayWriter
from betagvae.datasets.parallel import in_order
from betagvae.datasets.settings import DataSettings
from betagvae.errors import UserError

logger = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class _ReadBatch(Generic[T]):
    """Reads some images; a class, not a closure, so that it can be sent to a process."""

    archive: Path
    read: Callable[[BinaryIO, T], torch.Tensor]
    channels: int

    def __call__(self, items: Sequence[T]) -> Batch:
        images = np.empty((len(items), self.channels, SIDE, SIDE), np.uint8)
        count, skipped = 0, Counter()
        # Opened here: processes that share an open file share its position.
        with self.archive.open("rb") as file:
            for item in items:
                try:
                    images[count] = self.read(file, item).numpy()
                except SkipError as reason:
                    skipped[str(reason)] += 1
                else:
                    count += 1
        return Batch(images[:count], skipped)


def read_batches(
    archive: Path,
    read: Callable[[BinaryIO, T], torch.Tensor],
    splits: Mapping[str, Sequence[T]],
    *,
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
        Returns one image, uint8 C×64×64, from the open archive and what to read, or raises
        `SkipError`; works in another process.
    splits
        Name to what to read.
    channels
        C.
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
    results = in_order(_ReadBatch(archive, read, channels), work, threads)
    with tqdm(total=sum(map(len, work)), desc=name, unit="img", disable=None) as progress:
        for (split, items), batch in zip(batches, results, strict=True):
            progress.update(len(items))
            yield split, batch


def shrink(image: torch.Tensor, crop: Crop | None) -> torch.Tensor:
    """Cut out the crop, then resize (bilinear, antialiased): uint8 C×H×W → C×64×64.

    Interleaved channels, as decoders return them, are resized faster than planes.
    """
    if crop is not None:
        left, top, right, bottom = crop
        if right > image.shape[-1] or bottom > image.shape[-2]:
            raise SkipError("smaller than the crop")
        image = image[:, top:bottom, left:right]
    # What torchvision's resize does, without its dispatch, which costs a fifth more.
    return interpolate(image[None], (SIDE, SIDE), mode="bilinear", antialias=True)[0]


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


@dataclass(frozen=True)
class Original:
    """A published set of images, as its array describes it."""

    dataset: str
    channels: int
    """1 or 3."""
    colours: str
    images: int
    """Published number of images."""
    item: str
    """What an archive without a usable image lacks, in the words of an error."""


def write_original(
    output: Path,
    original: Original,
    archive: Path,
    read: Callable[[BinaryIO, T], torch.Tensor],
    splits: Mapping[str, Sequence[T]],
    *,
    source_files: Mapping[str, Mapping[str, Any]],
    skipped: Counter[str],
    settings: DataSettings,
) -> None:
    """Read the images of every split and write the array and its JSON.

    Parameters
    ----------
    output
        The array.
    original
        What is read.
    archive, read, splits
        As `read_batches` takes them.
    source_files
        As `ArrayWriter.finish` takes it.
    skipped
        Number of files left out before reading, by reason.
    settings
        The crop that `read` makes, and processor cores to use.

    Raises
    ------
    UserError
        When no image can be used.
    """
    name, counts, sizes = original.dataset, [skipped], dict.fromkeys(splits, 0)
    with ArrayWriter(output, channels=original.channels) as writer:
        for split, batch in read_batches(
            archive,
            read,
            splits,
            channels=original.channels,
            threads=settings.threads,
            name=name,
        ):
            writer.append(batch.images)
            sizes[split] += len(batch.images)
            counts.append(batch.skipped)
        _check_count(original, writer.images, total(counts), archive)
        writer.finish(
            dataset=name,
            source="original",
            stand_in=False,
            splits=_ranges(sizes),
            preprocessing=preprocessing(settings.crop, original.colours),
            source_files=source_files,
            skipped=total(counts),
        )


def _ranges(sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return first and one-past-last index of each split, which follow one another."""
    ends = list(itertools.accumulate(sizes.values(), initial=0))
    return dict(zip(sizes, itertools.pairwise(ends), strict=True))


def _check_count(
    original: Original, images: int, skipped: Mapping[str, int], archive: Path
) -> None:
    """Refuse an archive without images; say so when there are not as many as published."""
    if images == 0:
        raise UserError(f"{archive} holds no usable {original.item}: {skipped}")
    if images != original.images or any(skipped.values()):
        logger.warning(
            "%s gave %d images, not the published %d; skipped: %s",
            *(archive, images, original.images, skipped or "none"),
        )
