"""What reading the original archives has in common: cropping, resizing, skipping, counting."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torchvision.transforms.v2 import functional
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

    read: Callable[[T], torch.Tensor]
    channels: int

    def __call__(self, items: Sequence[T]) -> Batch:
        images, skipped = [], Counter()
        for item in items:
            try:
                images.append(self.read(item))
            except SkipError as reason:
                skipped[str(reason)] += 1
        empty = torch.empty((0, self.channels, SIDE, SIDE), dtype=torch.uint8)
        return Batch((torch.stack(images) if images else empty).numpy(), skipped)


def read_batches(
    read: Callable[[T], torch.Tensor], items: Sequence[T], *, channels: int, threads: int, name: str
) -> Iterator[Batch]:
    """Read images on several processor cores, in the order of ``items``.

    Parameters
    ----------
    read
        Returns one image, uint8 C×64×64, or raises `SkipError`; works in another process.
    items
        What to read, N.
    channels
        C.
    threads
        Processor cores to use.
    name
        What the progress bar says.
    """
    batches = [items[first : first + _BATCH] for first in range(0, len(items), _BATCH)]
    with tqdm(total=len(items), desc=name, unit="img", disable=None) as progress:
        for batch in in_order(_ReadBatch(read, channels), batches, threads):
            progress.update(len(batch.images) + batch.skipped.total())
            yield batch


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
    read: Callable[[T], torch.Tensor],
    splits: Mapping[str, Sequence[T]],
    *,
    archive: Path,
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
    read
        As `read_batches` takes it.
    splits
        Name to what to read, in the order of the array.
    archive
        Where it is read from, for messages.
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
    name, counts, ranges = original.dataset, [skipped], {}
    with ArrayWriter(output, channels=original.channels) as writer:
        for split, items in splits.items():
            first = writer.images
            for batch in read_batches(
                read,
                items,
                channels=original.channels,
                threads=settings.threads,
                name=f"{name} {split}",
            ):
                writer.append(batch.images)
                counts.append(batch.skipped)
            ranges[split] = (first, writer.images)
        _check_count(original, writer.images, total(counts), archive)
        writer.finish(
            dataset=name,
            source="original",
            stand_in=False,
            splits=ranges,
            preprocessing=preprocessing(settings.crop, original.colours),
            source_files=source_files,
            skipped=total(counts),
        )


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
