"""Timing one data set: every method, in every mode, round after round."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from betagvae.bench.arithmetic import Operations, operations
from betagvae.bench.cells import Cell
from betagvae.bench.floor import Floor, Kernel, floor, step_kernels
from betagvae.bench.processes import COPIED, Mode, Team, matrix_side
from betagvae.bench.profile import Profile
from betagvae.data.arrays import open_array
from betagvae.evaluation.metrics import BATCH_SIZES
from betagvae.model.device import PRECISIONS
from betagvae.settings.bench import BenchSettings
from betagvae.settings.training import TrainingSettings

log = logging.getLogger(__name__)

WARM_UP = 3
"""Steps before anything is timed."""

PROFILED_STEPS = 20

SIDE_BY_SIDE_ON_A_GPU = (1, 5, 10, 20)
"""Trainings at a time that are tried."""


def modes(cores: int, threads: int) -> list[Mode]:
    """Return one training with all cores, and as many at a time as the cores allow.

    On a GPU trainings share one process, and how many fill it is what is to be found out.

    Parameters
    ----------
    cores
        Processor cores to use.
    threads
        Of each training of those side by side; at most `cores`.
    """
    if torch.cuda.is_available():
        return [Mode(1, threads, trainings) for trainings in SIDE_BY_SIDE_ON_A_GPU]
    return list(dict.fromkeys([Mode(1, cores), Mode(cores // threads, threads)]))


@dataclass(frozen=True)
class Measured:
    """What was measured on one data set."""

    dataset: str
    cells: list[Cell]
    operations: dict[str, Operations]
    """By method."""
    memory: dict[str, dict[str, int]]
    """By method: largest memory of one training, bytes; ``resident`` and ``gpu``."""
    images: int
    """In the array that was measured."""
    image_bytes: int
    """Stored bytes of one image."""
    provenance: dict[str, Any]
    """Software and hardware."""
    rates: dict[tuple[str, Mode], list[float]] = field(default_factory=dict)
    """By method and mode: images/s of all trainings side by side, a number a round."""
    evaluations: dict[Mode, list[float]] = field(default_factory=dict)
    """By mode: images/s that all processes together evaluate with models of the first method, a
    number a round."""
    ceilings: dict[Mode, list[float]] = field(default_factory=dict)
    """By mode: floating-point operations/s of a large matrix product, a number a round."""
    kernels: dict[str, list[Kernel]] = field(default_factory=dict)
    """By method: what a step of one training needs."""
    bandwidths: list[float] = field(default_factory=list)
    """Bytes/s of a GPU's memory in a large copy, read and written, a number a round."""
    products_in_parts: list[float] = field(default_factory=list)
    """Floating-point operations/s of a large matrix product of float32 as a GPU's kernels do it,
    a number a round; of no other precision."""
    profiles: dict[str, Profile] = field(default_factory=dict)
    """By method, in the last mode of a GPU; one of each kind."""

    @property
    def modes(self) -> list[Mode]:
        """The modes that were measured, one training on all cores first."""
        return list(self.ceilings)

    def floors(self, method: str, mode: Mode) -> list[Floor]:
        """Return the most steps/s of all trainings together, a number a round; none on a CPU.

        Float32 has two ways to multiply on a GPU, and the faster counts.
        """
        if not self.bandwidths:
            return []
        ways = [self.ceilings[mode], self.products_in_parts or self.ceilings[mode]]
        products = map(max, *ways)
        return [
            floor(self.kernels[method], *of_round)
            for of_round in zip(self.bandwidths, products, strict=True)
        ]


def measure(array_path: Path, cells: list[Cell], settings: BenchSettings, cores: int) -> Measured:
    """Measure all methods of one data set.

    Everything is measured once a round, forwards and backwards in turn, so that what is compared
    was measured within seconds and a drift of the machine favours nobody.
    """
    array = open_array(array_path)
    image_bytes = array.stored[0].nbytes
    training_settings = [cell.settings for cell in cells]
    threads = min(training_settings[0].threads, cores)
    memory = _memories(array_path, cells, threads)
    with ExitStack() as stack:
        teams = [stack.enter_context(Team(mode)) for mode in modes(cores, threads)]
        for team in teams:
            team.ask("open", array_path, training_settings)
        measured = Measured(
            dataset=cells[0].dataset,
            cells=cells,
            operations={c.method: operations(c.settings, array.channels) for c in cells},
            memory=memory,
            images=len(array),
            image_bytes=image_bytes,
            kernels={
                c.method: step_kernels(c.settings, array.channels, image_bytes) for c in cells
            },
            provenance=teams[0].ask("provenance")[0],
        )
        _measure_rounds(teams, measured, settings)
        if measured.provenance["device_type"] == "cuda":
            _profile(teams[-1], measured)
    return measured


def _kinds(cells: Sequence[Cell]) -> dict[TrainingSettings, Cell]:
    """Return the first cell of each kind."""
    return {cell.kind: cell for cell in reversed(cells)}


def _profile(team: Team, measured: Measured) -> None:
    """Fill in the profiles; last, since the profiler makes steps slower."""
    kinds = list(_kinds(measured.cells).values())
    for index, cell in enumerate(measured.cells):
        if cell not in kinds:
            continue
        (found,) = team.ask("profile", index, PROFILED_STEPS)
        if found.kernels:
            measured.profiles[cell.method] = found
        else:
            log.warning("%s: the profiler saw no kernel of %s", measured.dataset, cell.method)


def _memories(array_path: Path, cells: list[Cell], threads: int) -> dict[str, dict[str, int]]:
    """Return the memory of each method; those of a kind share one measurement."""
    kinds = _kinds(cells)
    found = {kind: _memory(array_path, cell, threads) for kind, cell in kinds.items()}
    return {cell.method: found[cell.kind] for cell in cells}


def _memory(array_path: Path, cell: Cell, threads: int) -> dict[str, int]:
    """Return the largest memory of a process that trains nothing else."""
    with Team(Mode(1, threads)) as team:
        team.ask("open", array_path, [cell.settings])
        team.ask("train", 0, WARM_UP)
        return team.ask("memory")[0]


def _measure_rounds(teams: Sequence[Team], measured: Measured, settings: BenchSettings) -> None:
    """Fill `measured` with one number a round."""
    device_type = measured.provenance["device_type"]
    todo = [
        _training(team, index, cell, settings.seconds, measured)
        for index, cell in enumerate(measured.cells)
        for team in teams
    ]
    todo += [
        _evaluation(team, device_type, settings.seconds, measured)
        for team in teams
        if team.mode.trainings == 1  # A process evaluates one model at a time.
    ]
    todo += [_products(team, device_type, settings.seconds, measured) for team in teams]
    if device_type == "cuda":
        todo += _limits_of_a_gpu(teams[-1], settings.seconds, measured)
    for number in range(settings.rounds):
        log.info("%s: round %d of %d", measured.dataset, number + 1, settings.rounds)
        for once in todo if number % 2 == 0 else reversed(todo):
            once()


def _training(
    team: Team, index: int, cell: Cell, seconds: float, measured: Measured
) -> Callable[[], None]:
    """Warm up; return what measures one method in one mode, once."""
    team.ask("train", index, WARM_UP)
    steps = fitting(lambda steps: team.seconds("train", index, steps), seconds)
    images = team.mode.at_a_time * steps * cell.settings.batch_size
    found = measured.rates.setdefault((cell.method, team.mode), [])
    return lambda: found.append(images / team.seconds("train", index, steps))


def _evaluation(
    team: Team, device_type: str, seconds: float, measured: Measured
) -> Callable[[], None]:
    """Warm up; return what measures the evaluation of a model, once."""
    team.ask("evaluate", 0, 1)
    batches = fitting(lambda batches: team.seconds("evaluate", 0, batches), seconds)
    images = team.mode.processes * batches * BATCH_SIZES[device_type]
    found = measured.evaluations.setdefault(team.mode, [])
    return lambda: found.append(images / team.seconds("evaluate", 0, batches))


def _products(
    team: Team, device_type: str, seconds: float, measured: Measured
) -> Callable[[], None]:
    """Warm up; return what measures the ceiling in one mode, once."""
    found = measured.ceilings.setdefault(team.mode, [])
    return _limit(team, "multiply", 2 * matrix_side(device_type) ** 3, seconds, found)


def _limits_of_a_gpu(team: Team, seconds: float, measured: Measured) -> list[Callable[[], None]]:
    """Warm up; return what measures the limits that `Measured.floors` needs, once each."""
    bytes_moved, operations = 2 * COPIED, 2 * matrix_side("cuda") ** 3
    limits = [_limit(team, "copy", bytes_moved, seconds, measured.bandwidths)]
    precision = measured.cells[0].settings.precision
    if PRECISIONS[precision].stacked_products == "tf32x3":
        found = measured.products_in_parts
        limits.append(_limit(team, "multiply_in_parts", operations, seconds, found))
    return limits


def _limit(
    team: Team, request: str, work: int, seconds: float, found: list[float]
) -> Callable[[], None]:
    """Warm up; return what measures the work a second of a request, once."""
    team.ask(request, 1)
    repetitions = fitting(lambda repetitions: team.seconds(request, repetitions), seconds)
    done = team.mode.processes * repetitions * work
    return lambda: found.append(done / team.seconds(request, repetitions))


def fitting(timed: Callable[[int], float], seconds: float) -> int:
    """Return how many repetitions take about `seconds`."""
    repetitions, taken = 1, timed(1)
    while taken < seconds / 4:
        repetitions *= 2
        taken = timed(repetitions)
    return max(1, round(repetitions * seconds / taken))
