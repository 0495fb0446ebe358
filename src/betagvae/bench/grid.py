"""The trainings of a configuration, and those of them that have to be timed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from betagvae.errors import UserError
from betagvae.settings.training import TrainingSettings

Pair = tuple[float, float]
"""β and γ of eq. 7."""

_OF_A_TRAINING = {"beta", "gamma", "seed"}


@dataclass(frozen=True)
class Cell:
    """What is timed: one method on one data set."""

    dataset: str
    method: str
    settings: TrainingSettings

    @property
    def pair(self) -> Pair:
        """β and γ."""
        return self.settings.beta, self.settings.gamma

    @property
    def adversarial(self) -> bool:
        """Whether there is a discriminator."""
        return _adversarial(self.pair)


@dataclass(frozen=True)
class Grid:
    """All trainings of a configuration: methods and Table 1's pairs, each with every seed."""

    datasets: Mapping[str, Mapping[str, Any]]
    """Data set to what its trainings share, in the words of `TrainingSettings`."""
    methods: Mapping[str, Pair]
    seeds: tuple[int, ...]
    table1: str | None = None
    """Data set of Table 1; None where it is left out."""
    pairs: tuple[Pair, ...] = ()
    """Table 1's (β, γ)."""

    def trainings(self, dataset: str) -> tuple[Pair, ...]:
        """Return every (β, γ) that is trained on a data set; a pair that is a method's is once."""
        return tuple(dict.fromkeys([*self.methods.values(), *self._sweep(dataset)]))

    def cells(self, dataset: str) -> list[Cell]:
        """Return what has to be timed on a data set.

        Speed depends on β and γ only by whether there is a discriminator, so a pair of Table 1 is
        timed only where no method tells how long it takes.
        """
        timed = dict(self.methods)
        for pair in self._sweep(dataset):
            if _adversarial(pair) not in map(_adversarial, timed.values()):
                timed["({:g}, {:g})".format(*pair)] = pair
        return [
            Cell(dataset, method, self._settings(dataset, pair)) for method, pair in timed.items()
        ]

    def _sweep(self, dataset: str) -> tuple[Pair, ...]:
        return self.pairs if dataset == self.table1 else ()

    def _settings(self, dataset: str, pair: Pair) -> TrainingSettings:
        shared = self.datasets[dataset]
        known = {field.name for field in fields(TrainingSettings)} - _OF_A_TRAINING
        if unknown := sorted(set(shared) - known):
            raise UserError(f"{dataset}: a training has no setting {', '.join(unknown)}")
        if shared.get("likelihood") is None:
            raise UserError(f"{dataset}: the likelihood is missing: give --likelihood")
        return TrainingSettings(beta=pair[0], gamma=pair[1], seed=self.seeds[0], **shared)


def _adversarial(pair: Pair) -> bool:
    return pair[1] != 0


def stand_in_for(pair: Pair, cells: list[Cell]) -> Cell:
    """Return the cell that tells how long a training with (β, γ) takes."""
    exact = [cell for cell in cells if cell.pair == pair]
    alike = [cell for cell in cells if cell.adversarial == _adversarial(pair)]
    return (exact or alike)[0]
