"""Time and memory of a whole grid, from what was measured of it."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from betagvae.bench.cells import stand_in_for
from betagvae.bench.measuring import Measured
from betagvae.bench.processes import Mode
from betagvae.data import registry
from betagvae.experiment import Experiment, Training


def extrapolate(experiment: Experiment, measured: Sequence[Measured]) -> dict[str, Any]:
    """Return what each data set's trainings take, by data set and mode.

    Time is that of training alone, at the median rate: nothing else runs on the machine, and data
    and evaluation are not counted. Memory is that of all trainings that run at a time.
    """
    return {m.dataset: _of_dataset(experiment.trainings(m.dataset), m) for m in measured}


def _of_dataset(trainings: Sequence[Training], m: Measured) -> dict[str, Any]:
    array = stored_bytes(m)
    most = {kind: max(memory[kind] for memory in m.memory.values()) for kind in ("resident", "gpu")}
    gpu = most["gpu"] - m.images * m.image_bytes if most["gpu"] else 0
    return {
        "trainings": len(trainings),
        "array_bytes": array,
        "floor_hours": _floor_hours(trainings, m),
        "modes": {
            str(mode): {
                "hours": sum(_seconds(m, training, mode) for training in trainings) / 3600,
                "resident_bytes": mode.processes * most["resident"],
                "gpu_bytes": (array + mode.trainings * gpu) * mode.processes if gpu else 0,
            }
            for mode in m.modes
        },
    }


def _seconds(m: Measured, training: Training, mode: Mode) -> float:
    """Return a training's share of the machine's time."""
    images = training.settings.steps * training.settings.batch_size
    return images / median(m.rates[stand_in_for(training, m.cells).method, mode])


def _floor_hours(trainings: Sequence[Training], m: Measured) -> float | None:
    """Return the least time on this GPU, however many run at a time; None on a CPU."""
    hours = 0.0
    for training in trainings:
        method = stand_in_for(training, m.cells).method
        floors = [of_round.steps_per_second for of_round in m.floors(method, m.modes[-1])]
        if not floors:
            return None
        hours += training.settings.steps / median(floors) / 3600
    return hours


def stored_bytes(m: Measured) -> int:
    """Return the bytes of the data set's whole array, from which fewer images may be measured."""
    return max(m.images, published_images(m.dataset)) * m.image_bytes


def published_images(dataset: str) -> int:
    """Return the number of images of the published set; 0 where it is not one of ours."""
    return registry.dataset(dataset).images if dataset in registry.DATASETS else 0


def total(grid: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sum over data sets, one after the other: hours add up, the largest memory counts.

    All arrays are counted, since the operating system keeps what it has read.
    """
    modes = next(iter(grid.values()))["modes"]
    floors = [entry["floor_hours"] for entry in grid.values()]
    return {
        "trainings": sum(entry["trainings"] for entry in grid.values()),
        "array_bytes": sum(entry["array_bytes"] for entry in grid.values()),
        "floor_hours": None if None in floors else sum(floors),
        "modes": {
            mode: {
                "hours": sum(entry["modes"][mode]["hours"] for entry in grid.values()),
                **{
                    kind: max(entry["modes"][mode][kind] for entry in grid.values())
                    for kind in ("resident_bytes", "gpu_bytes")
                },
            }
            for mode in modes
        },
    }
