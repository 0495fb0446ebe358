"""What making arrays of the original archives has in common."""

import gc
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from betagvae.data.arrays import SIDE, ArrayWriter
from betagvae.data.dataset import Dataset
from betagvae.data.decoding import Crop, Read
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")


@contextmanager
def keeping_objects() -> Iterator[None]:
    """Do without the garbage collector while an archive is listed.

    It would search the many objects again and again, none of which can go: half of the time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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


@dataclass(frozen=True, kw_only=True)
class Original:
    """What becomes of a published set's images."""

    channels: int
    """1 or 3."""
    colours: str
    """In the words of the array's JSON."""
    item: str
    """What an archive without a usable image lacks, in the words of an error."""


def write_original(
    output: Path,
    dataset: Dataset,
    original: Original,
    archive: Path,
    read: Read[T],
    splits: Mapping[str, Sequence[T]],
    *,
    source_files: Callable[[], Mapping[str, Mapping[str, Any]]],
    skipped: Counter[str],
    settings: DataSettings,
) -> None:
    """Read the images of every split and write the array and its JSON.

    Parameters
    ----------
    output
        The array.
    dataset, original
        What is read.
    archive, read, splits
        As `read_batches` takes them.
    source_files
        Returns what `ArrayWriter.finish` takes; called when all images are read.
    skipped
        Number of files left out before reading, by reason.
    settings
        The crop, and processor cores to use.

    Raises
    ------
    UserError
        When no image can be used.
    """
    # Here, since drawn images need no PyTorch, and before processes start, which would import it.
    from betagvae.data.reading import read_batches

    counts, sizes = [skipped], dict.fromkeys(splits, 0)
    expected = sum(map(len, splits.values()))
    with ArrayWriter(output, channels=original.channels, expected=expected) as writer:
        for split, batch in read_batches(
            archive,
            read,
            splits,
            crop=settings.crop,
            channels=original.channels,
            threads=settings.threads,
            name=dataset.name,
        ):
            writer.append(batch.images)
            sizes[split] += len(batch.images)
            counts.append(batch.skipped)
        sources = source_files()
        if writer.images == 0:
            raise UserError(f"{archive} holds no usable {original.item}: {total(counts)}")
        _compare_count(dataset, writer.images, total(counts), archive)
        writer.finish(
            dataset=dataset.name,
            source="original",
            stand_in=False,
            splits=_ranges(sizes),
            preprocessing=preprocessing(settings.crop, original.colours),
            source_files=sources,
            skipped=total(counts),
        )


def _ranges(sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return first and one-past-last index of each split, which follow one another."""
    ends = list(itertools.accumulate(sizes.values(), initial=0))
    return dict(zip(sizes, itertools.pairwise(ends), strict=True))


def _compare_count(
    dataset: Dataset, images: int, skipped: Mapping[str, int], archive: Path
) -> None:
    """Say so when there are not as many images as published."""
    if images != dataset.images or any(skipped.values()):
        logger.warning(
            "%s gave %d images, not the published %d; skipped: %s",
            *(archive, images, dataset.images, skipped or "none"),
        )
