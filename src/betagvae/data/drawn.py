"""What the drawn stand-ins share: walking a factor grid, in parallel, into an array."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from betagvae.data.arrays import SIDE, ArrayWriter, grid_classes
from betagvae.data.parallel import in_order
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

logger = logging.getLogger(__name__)

_BATCH = 32


@dataclass(frozen=True)
class StandIn:
    """A parametric picture."""

    dataset: str
    """The data set that it stands in for."""
    channels: int
    """1 or 3."""
    factors: Mapping[str, int]
    """Number of values of each factor; the last varies fastest over the grid."""
    stride: int
    """Step from one image to the next in the grid; coprime with its size, so that all images
    differ, and chosen so that pairs of factors are spread over any run of images more evenly
    than by chance."""
    images: int
    """Number to draw unless the configuration says otherwise."""
    draw: Callable[[np.ndarray], np.ndarray]
    """Factor classes, int64 N×K → images, uint8 N×C×64×64."""

    @property
    def combinations(self) -> int:
        """Number of different images."""
        return math.prod(self.factors.values())


def make_stand_in(output: Path, settings: DataSettings, stand_in: StandIn) -> None:
    """Draw the images and write the array and its JSON; the last part is the test split."""
    images = settings.images or stand_in.images
    if not 0 < images <= stand_in.combinations:
        raise UserError(
            f"cannot draw {images} different images for {stand_in.dataset}: "
            f"set datasets.{stand_in.dataset}.data.images to 1..{stand_in.combinations}"
        )
    start = int(np.random.default_rng(settings.seed).integers(stand_in.combinations))
    tested = round(images * settings.test_fraction)
    with ArrayWriter(output, channels=stand_in.channels, expected=images) as writer:
        for batch in _draw(stand_in, start, images, settings.threads):
            writer.append(batch)
        writer.finish(
            dataset=stand_in.dataset,
            source="drawn",
            stand_in=True,
            splits={"train": (0, images - tested), "test": (images - tested, images)},
            preprocessing={},
            factors={
                "names": list(stand_in.factors),
                "sizes": list(stand_in.factors.values()),
                "start": start,
                "stride": stand_in.stride,
            },
        )
    logger.warning("%s: %d drawn images stand in for the real ones", output, images)


def _draw(stand_in: StandIn, start: int, images: int, threads: int) -> Iterator[np.ndarray]:
    """Yield the images in order; each array is overwritten once the next one is asked for."""
    from tqdm import tqdm  # here, since whoever only reads declarations needs no progress bar

    sizes = tuple(stand_in.factors.values())
    classes = grid_classes(np.arange(images), sizes, start, stand_in.stride)
    batches = [classes[first : first + _BATCH] for first in range(0, images, _BATCH)]

    def fill(classes: np.ndarray, array: np.ndarray) -> int:
        array[: len(classes)] = stand_in.draw(classes)
        return len(classes)

    results = in_order(fill, batches, threads, (_BATCH, stand_in.channels, SIDE, SIDE))
    with tqdm(total=images, desc=stand_in.dataset, unit=" images", disable=None) as progress:
        for array, count in results:
            progress.update(count)
            yield array[:count]
