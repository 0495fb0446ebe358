"""The benchmark from its arrays to its files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from betagvae.bench.cells import Cell, cells_of
from betagvae.bench.extrapolation import extrapolate, total
from betagvae.bench.measuring import Measured, measure
from betagvae.bench.page import page
from betagvae.bench.processes import Mode
from betagvae.bench.ratios import COLUMNS, COMPARISONS, LABELS, Row
from betagvae.data import registry
from betagvae.data.arrays import open_array
from betagvae.errors import UserError
from betagvae.experiment import Experiment
from betagvae.records.files import write_csv, write_json, write_text
from betagvae.settings.bench import BenchSettings
from betagvae.settings.data import DataSettings

IMAGES = 4096
"""Images to draw: speed depends neither on what they show nor on their number."""


def bench(
    experiment: Experiment,
    settings: BenchSettings,
    output: Path,
    arrays: Sequence[Path],
    cores: int,
) -> None:
    """Measure this machine, write all results into a folder and print the page.

    Parameters
    ----------
    experiment
        The trainings that time and memory are wanted for.
    settings
        How to measure.
    output
        The folder of ``bench.json``, ``bench.md`` and a CSV file for each of `COMPARISONS`.
    arrays
        Prepared image arrays; where a data set has none, images are drawn in a temporary folder.
    cores
        Processor cores to use: by one process with as many threads, and by trainings side by side.

    Raises
    ------
    UserError
        When arrays and settings do not fit, or a process ends for lack of memory.
    """
    if cores < 1:
        raise UserError(f"--cores {cores}: give one core at least")
    prepared = {open_array(path).dataset: path for path in arrays}
    if unused := sorted(set(prepared) - set(experiment.datasets)):
        raise UserError(f"an array of {', '.join(unused)} is given, but no such data set: name it")
    load = os.getloadavg()[0]
    measured = []
    to_time = {dataset: cells_of(experiment, dataset) for dataset in experiment.datasets}
    for dataset, cells in to_time.items():
        with TemporaryDirectory() as folder:
            path = prepared.get(dataset) or draw(dataset, Path(folder), cores)
            measured.append(measure(path, cells, settings, cores))
    ratios = {name: compare(measured) for name, compare in COMPARISONS.items()}
    record = _record(experiment, settings, measured, ratios)
    record |= {"cores": cores, "load_before": round(load, 2)}
    for name, rows in ratios.items():
        write_csv(output / f"{name}.csv", rows, COLUMNS)
    write_text(output / "bench.md", page(record))
    write_json(output / "bench.json", record)
    print(page(record))


def draw(dataset: str, folder: Path, threads: int, images: int = IMAGES) -> Path:
    """Draw so many images of a data set, or all that it has, and return the array.

    Of dSprites all are drawn in any case.

    Raises
    ------
    UserError
        When there is no such data set, or it cannot be drawn.
    """
    known = registry.dataset(dataset)
    if "drawn" not in known.sources:
        raise UserError(f"{dataset} cannot be drawn: make its array and name it with --arrays")
    path = folder / f"{dataset}.npy"
    drawn = DataSettings(
        source="drawn",
        seed=0,
        threads=threads,
        download_dir=folder,
        test_fraction=0,
        images=min(images, known.drawn_images),
    )
    registry.make_dataset(dataset, path, drawn)
    return path


def _record(
    experiment: Experiment,
    settings: BenchSettings,
    measured: Sequence[Measured],
    ratios: Mapping[str, Sequence[Row]],
) -> dict[str, Any]:
    """Return everything that the page says, as numbers."""
    extrapolated = extrapolate(experiment, measured)
    return {
        "provenance": measured[0].provenance,
        "precision": measured[0].cells[0].settings.precision,
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "trainings": {m.dataset: asdict(m.cells[0].settings) for m in measured},
        "operations_per_image": {
            m.dataset: {name: asdict(count) for name, count in m.operations.items()}
            for m in measured
        },
        "memory_of_a_training": {m.dataset: m.memory for m in measured},
        "rates": [row for m in measured for row in _rates(m)],
        "evaluation_rates": [
            {"dataset": m.dataset, "mode": str(mode), **_spread(rates)}
            for m in measured
            for mode, rates in m.evaluations.items()
        ],
        "ratios": {name: _medians(rows) for name, rows in ratios.items()},
        "floors": [row for m in measured for row in _floors(m)],
        "profiles": [row for m in measured for row in _profiles(m)],
        "grid": extrapolated,
        "grid_total": total(extrapolated),
    }


def _rates(m: Measured) -> list[Row]:
    return [
        {
            "dataset": m.dataset,
            "method": method,
            "mode": str(mode),
            **_spread(rates),
            "ceiling_flops_per_second": median(m.ceilings[mode]),
        }
        for (method, mode), rates in m.rates.items()
    ]


def _floors(m: Measured) -> list[Row]:
    """Return each method's floor on a GPU with all that it is made of; none on a CPU."""
    rows = []
    for cell in m.cells if m.bandwidths else []:
        kernels = m.kernels[cell.method]
        rows.append(
            {
                "dataset": m.dataset,
                "method": cell.method,
                "copied_bytes_per_second": median(m.bandwidths),
                "bytes_of_a_step": sum(kernel.bytes_moved for kernel in kernels),
                "operations_of_a_step": sum(kernel.operations for kernel in kernels),
                "kernels": [asdict(kernel) for kernel in kernels],
                "modes": {str(mode): _medians_of_floors(m, cell, mode) for mode in m.modes},
            }
        )
    return rows


def _medians_of_floors(m: Measured, cell: Cell, mode: Mode) -> Row:
    """Return steps/s of all trainings together."""
    floors = m.floors(cell.method, mode)
    return {
        "reached": median(m.rates[cell.method, mode]) / cell.settings.batch_size,
        "floor": median(of_round.steps_per_second for of_round in floors),
        "memory": median(of_round.memory for of_round in floors),
        "arithmetic": median(of_round.arithmetic for of_round in floors),
    }


def _profiles(m: Measured) -> list[Row]:
    return [
        {"dataset": m.dataset, "method": method, "mode": str(m.modes[-1]), **asdict(profile)}
        for method, profile in m.profiles.items()
    ]


def _spread(rates: Sequence[float]) -> Row:
    return {"images_per_second": median(rates), "lowest": min(rates), "highest": max(rates)}


def _medians(rows: Sequence[Row]) -> list[Row]:
    """Return the median ratio over rounds of everything that a comparison compares."""
    groups: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        groups.setdefault(tuple(row[label] for label in LABELS), []).append(row["ratio"])
    return [
        dict(zip(LABELS, group, strict=True))
        | {"median": median(found), "lowest": min(found), "highest": max(found)}
        for group, found in groups.items()
    ]
