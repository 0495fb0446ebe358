"""What drawn data sets share: walking a factor grid, in parallel, into an array."""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from betagvae.data.arrays import SIDE, ArrayWriter, grid_classes
from betagvae.data.dataset import Dataset
from betagvae.data.parallel import in_order
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

logger = logging.getLogger(__name__)

_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A parametric picture, whose factors the data set declares."""

    channels: int
    """1 or 3."""
    stride: int
    """Step from one image to the next in the factor grid; coprime with its size, so that all
    images differ, and chosen so that pairs of factors are spread over any run of images more evenly
    than by chance."""
    draw: Callable[[np.ndarray], np.ndarray]
    """Factor classes, int64 N×K → images, uint8 N×C×64×64."""


def make_drawn(output: Path, settings: DataSettings, dataset: Dataset, drawn: Drawn) -> None:
    """Draw the images and write the array and its JSON; the last part is the test split.

    Raises
    ------
    UserError
        When more images are asked for than there are combinations of factors.
    """
    sizes = tuple(dataset.factors.values())
    images = _number(dataset, settings.images)
    start = int(np.random.default_rng(settings.seed).integers(math.prod(sizes)))
    classes = grid_classes(np.arange(images), sizes, start, drawn.stride)
    trained = images - round(images * settings.test_fraction)
    with ArrayWriter(output, channels=drawn.channels, expected=images) as writer:
        for batch in _draw(drawn, classes, settings.threads, dataset.name):
            writer.append(batch)
        writer.finish(
            dataset=dataset.name,
            source="drawn",
            stand_in=dataset.stand_in,
            splits={"train": (0, trained), "test": (trained, images)},
            preprocessing={},
            factors={
                "names": list(dataset.factors),
                "sizes": list(sizes),
                "start": start,
                "stride": drawn.stride,
            },
        )
    if dataset.stand_in:
        logger.warning("%s: %d drawn images stand in for the real ones", output, images)
    else:
        logger.info("%s: %d images", output, images)


def _number(dataset: Dataset, asked: int | None) -> int:
    """Return how many images to draw, all of different factors."""
    combinations = math.prod(dataset.factors.values())
    images = dataset.drawn_images if asked is None else asked
    if not 0 < images <= combinations:
        raise UserError(
            f"cannot draw {images} different images for {dataset.name}: "
            f"set datasets.{dataset.name}.data.images to 1..{combinations}"
        )
    return images


def _draw(drawn: Drawn, classes: np.ndarray, threads: int, name: str) -> Iterator[np.ndarray]:
    """Yield the images of factor classes, N×K, in order.

    Each array is overwritten once the next one is asked for.
    """
    from tqdm import tqdm  # here, since whoever only reads declarations needs no progress bar

    batches = [classes[first : first + _BATCH] for first in range(0, len(classes), _BATCH)]

    def fill(classes: np.ndarray, array: np.ndarray) -> int:
        array[: len(classes)] = drawn.draw(classes)
        return len(classes)

    results = in_order(fill, batches, threads, (_BATCH, drawn.channels, SIDE, SIDE))
    with tqdm(total=len(classes), desc=name, unit=" images", disable=None) as progress:
        for array, count in results:
            progress.update(count)
            yield array[:count]
