"""What the library knows of a data set besides its pixels."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from betagvae.settings.data import DataSettings


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set, as its module declares it."""

    name: str
    """Of its module, in the configuration, in file names."""
    title: str
    """As results print it."""
    likelihood: str
    """Of its trainings, unless the configuration says otherwise: a name in
    `betagvae.model.objective.LIKELIHOODS`."""
    base_index: int
    """Image whose code latent traversals start from."""
    images: int
    """Number of published images; of a set that is only drawn, of all that can be."""
    sources: tuple[str, ...]
    """What it can be made from: ``original``, the published files, or ``drawn``."""
    stand_in: bool
    """Whether its drawn images only stand in for the published ones."""
    factors: Mapping[str, int] = field(default_factory=dict)
    """Known factors of its drawn images, and their numbers of values; the last varies fastest over
    the grid of all combinations."""
    make: Callable[[Path, DataSettings], None]
    """Writes the array and the JSON beside it; from one of `sources`."""

    @property
    def drawn_images(self) -> int:
        """Number of images to draw unless the configuration says otherwise; all differ."""
        combinations = math.prod(self.factors.values()) if self.factors else self.images
        return min(self.images, combinations)
