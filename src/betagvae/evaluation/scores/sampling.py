"""Which encoded images a score looks at: random points, and images that share a factor value.

Everything here returns indices and takes its randomness as an argument.
"""

from dataclasses import dataclass

import numpy as np

from betagvae.errors import UserError


def draw_points(population: int, points: int, generator: np.random.Generator) -> np.ndarray:
    """Draw ``points`` distinct indices below ``population``.

    The field draws with replacement from the full grid; distinct points keep train and test
    apart when only a subset was encoded, and hardly differ on the grid.
    """
    if points > population:
        raise UserError(
            f"a score asks for {points:,} encoded images, but there are {population:,}: "
            "raise evaluation.encoded_images, or lower the sizes under scores in the configuration"
        )
    return generator.choice(population, size=points, replace=False)


def split_points(
    population: int, train: int, test: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw disjoint index sets of ``train`` and ``test`` images."""
    drawn = draw_points(population, train + test, generator)
    return drawn[:train], drawn[train:]


@dataclass(frozen=True, eq=False)
class FactorIndex:
    """For every factor, the images in order of their value: finds images that share one."""

    order_kn: np.ndarray
    """Image indices of each factor, sorted by that factor's value."""
    start_kv: np.ndarray
    """Where in ``order_kn`` the images of each value begin."""
    count_kv: np.ndarray
    """How many images have each value."""

    @classmethod
    def build(cls, factors_nk: np.ndarray) -> "FactorIndex":
        """Sort the N images by each of the K factors, once."""
        order_kn = np.argsort(factors_nk, axis=0, kind="stable").T
        values = int(factors_nk.max()) + 1
        count_kv = np.stack([np.bincount(column, minlength=values) for column in factors_nk.T])
        start_kv = np.cumsum(count_kv, axis=1) - count_kv
        return cls(order_kn, start_kv, count_kv)

    def draw(self, factor: np.ndarray, value: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Return, for each entry, a random image whose ``factor`` has the ``value``.

        Parameters
        ----------
        factor, value
            Broadcast against each other and ``uniform``; every value must occur.
        uniform
            Random numbers in [0, 1), one for each image wanted.
        """
        rank = (uniform * self.count_kv[factor, value]).astype(np.int64)
        return self.order_kn[factor, self.start_kv[factor, value] + rank]
