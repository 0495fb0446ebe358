"""What has to be timed of an experiment's trainings."""

from dataclasses import dataclass, replace

from betagvae.experiment import Experiment, Training, row_label
from betagvae.settings.training import WEIGHTS, TrainingSettings


@dataclass(frozen=True)
class Cell:
    """What is timed: one method on one data set."""

    dataset: str
    method: str
    settings: TrainingSettings

    @property
    def kind(self) -> TrainingSettings:
        """What speed depends on."""
        return kind(self.settings)


def kind(settings: TrainingSettings) -> TrainingSettings:
    """Return settings of the same speed: of a weight it matters only whether it is 0."""
    return replace(settings, seed=0, **{name: bool(getattr(settings, name)) for name in WEIGHTS})


def cells_of(experiment: Experiment, dataset: str) -> list[Cell]:
    """Return what has to be timed on a data set.

    Every method; and a pair of Table 1 only where no method tells how long it takes.
    """
    methods = experiment.methods.items()
    found = [Cell(dataset, name, experiment.of(dataset, row)[0].settings) for name, row in methods]
    for training in experiment.trainings(dataset):
        if kind(training.settings) not in [cell.kind for cell in found]:
            found.append(Cell(dataset, row_label(training.row), training.settings))
    return found


def stand_in_for(training: Training, cells: list[Cell]) -> Cell:
    """Return the cell that tells how long a training takes."""
    same = replace(training.settings, seed=cells[0].settings.seed)
    exact = [cell for cell in cells if cell.settings == same]
    alike = [cell for cell in cells if cell.kind == kind(training.settings)]
    return (exact or alike)[0]
