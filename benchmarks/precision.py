"""Train the same seeds in float32 and in less, and ask whether the loss curves tell them apart.

    python benchmarks/precision.py dsprites --method beta-GVAE

Less is what the machine offers: bfloat16 on a processor, TF32 on a GPU. The settings are the
configuration's; a training that is done is not repeated.
"""

import argparse
import json
import logging
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from configuration import configuration, training_settings
from images import FACES
from matplotlib.axes import Axes

from betagvae.bench.running import draw
from betagvae.data.arrays import ImageArray, open_array
from betagvae.errors import UserError
from betagvae.experiment import printed_name
from betagvae.model.device import PRECISIONS
from betagvae.paper.claims.statistics import holm
from betagvae.paper.pictures import COLOURS, UNITS, empty_figure, save, tidy, title
from betagvae.records.files import read_csv, read_json, write_csv, write_json, write_text
from betagvae.results.intervals import interval
from betagvae.results.labels import QUANTITIES, dataset_name
from betagvae.results.markdown import table
from betagvae.settings.training import TrainingSettings
from betagvae.training.run import RunFiles, train

EXACT = "float32"
LEVEL = 0.95
END = 4
"""The last quarter of the rows stands for the end of a training."""


@dataclass(frozen=True)
class Comparison:
    """One quantity's curves in two precisions."""

    quantity: str
    exact: float
    """Mean of the last quarter over seeds, in float32."""
    difference: tuple[float, float, float]
    """By how much the other's is larger, as a fraction: mean over pairs of one seed, and the
    95 % interval of Student's t."""
    spread: float
    """Standard deviation of the seeds in float32, as a fraction of their mean."""
    p: float
    """Of the curves' test, corrected for the number of quantities."""

    @property
    def indistinguishable(self) -> bool:
        """Whether neither the curves nor the paired ends are told apart."""
        _, low, high = self.difference
        return self.p > 1 - LEVEL and low <= 0 <= high


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing and compare."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    configured = configuration()
    gpu = torch.cuda.is_available()
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("dataset", choices=configured["datasets"])
    p.add_argument("--array", type=Path, help="prepared images; drawn by default")
    reduced = [name for name in PRECISIONS if name != EXACT]
    p.add_argument("--precision", choices=reduced, default="tf32" if gpu else "bfloat16")
    p.add_argument("--method", choices=configured["methods"], default="beta-GVAE")
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--steps", type=int, default=3000)
    p.add_argument("--learning-rate", type=float, default=5e-4)
    p.add_argument("--log-every", type=int, default=20)
    p.add_argument("--processes", type=int, default=os.cpu_count(), help="trainings at a time")
    p.add_argument("--output", type=Path, default=Path("results/precision"))
    options = p.parse_args(arguments)
    if options.seeds < 2:
        p.error("--seeds must be at least 2")
    changes = {key: getattr(options, key) for key in ("steps", "learning_rate", "log_every")}
    settings = training_settings(options.dataset, options.method, **changes)
    try:
        folder = options.output / f"{options.dataset}_{options.method}"
        path = options.array or draw(options.dataset, folder, options.processes, FACES)
        array = open_array(path)
        if array.dataset != options.dataset:
            raise UserError(f"{path} holds {array.dataset}: give the array of {options.dataset}")
        runs = train_all(
            array, settings, options.precision, options.seeds, folder, options.processes
        )
        compare(array, options.method, settings, runs, folder)
    except UserError as error:
        print(f"precision: {error}", file=sys.stderr)
        return 1
    return 0


def train_all(
    array: ImageArray,
    settings: TrainingSettings,
    precision: str,
    seeds: int,
    folder: Path,
    processes: int,
) -> dict[str, list[RunFiles]]:
    """Train every seed in both precisions; return its files by precision.

    On a GPU the seeds of a precision are stacked in one process, elsewhere each has its own.
    """
    runs = {
        name: [_files(folder, name, seed) for seed in range(seeds)] for name in (EXACT, precision)
    }
    missing = [
        [
            (changed, files)
            for seed, files in enumerate(of_seeds)
            if not _done(files, changed := replace(settings, precision=name, seed=seed), array)
        ]
        for name, of_seeds in runs.items()
    ]
    if torch.cuda.is_available():
        jobs, processes = list(filter(None, missing)), 1
    else:
        jobs = [[training] for of_precision in missing for training in of_precision]
    context = multiprocessing.get_context("spawn")
    path = Path(array.stored.filename)
    # A process a job: what one precision sets up is not undone for the next.
    with ProcessPoolExecutor(processes, context, max_tasks_per_child=1) as pool:
        for training in [pool.submit(train, path, job) for job in jobs]:
            training.result()
    return runs


def _files(folder: Path, precision: str, seed: int) -> RunFiles:
    return RunFiles(folder / precision / f"seed{seed}")


def _done(files: RunFiles, settings: TrainingSettings, array: ImageArray) -> bool:
    """Whether the very training is there; settings as JSON holds them."""
    if not files.record.exists():
        return False
    record = read_json(files.record)
    as_json = json.loads(json.dumps(asdict(settings)))
    same_images = record["data"]["hashes"]["array"] == array.metadata["hashes"]["array"]
    return same_images and record["settings"] == as_json


def compare(
    array: ImageArray,
    method: str,
    settings: TrainingSettings,
    runs: Mapping[str, Sequence[RunFiles]],
    folder: Path,
) -> None:
    """Write all curves (CSV), a record (JSON), a page (Markdown) and a picture (PNG), and print."""
    histories = {
        name: [read_csv(files.history) for files in of_seeds] for name, of_seeds in runs.items()
    }
    rows = [
        {"precision": name, "seed": seed, **row}
        for name, of_seeds in histories.items()
        for seed, history in enumerate(of_seeds)
        for row in history
    ]
    steps, curves = as_curves(histories)
    found = comparisons(*curves.values())
    exact, other = runs
    record = {
        "dataset": array.dataset,
        "stand_in": array.stand_in,
        "method": printed_name(method),
        "precision": other,
        "seeds": len(runs[exact]),
        "settings": asdict(settings),
        "comparisons": [asdict(c) | {"indistinguishable": c.indistinguishable} for c in found],
        "provenance": read_json(runs[other][0].record)["provenance"],
    }
    write_csv(folder / f"{other}.csv", rows)
    write_json(folder / f"{other}.json", record)
    text = page(record, found)
    write_text(folder / f"{other}.md", text)
    draw_curves(record, steps, curves, folder / f"{other}.png")
    print(text)


def as_curves(
    histories: Mapping[str, Sequence[Sequence[Mapping[str, str]]]],
) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """Return the steps T and, by precision and quantity, the curves: seeds × T."""
    curves = {
        name: {
            quantity: np.array([[float(row[quantity]) for row in rows] for rows in of_seeds])
            for quantity in QUANTITIES
        }
        for name, of_seeds in histories.items()
    }
    return np.array([int(row["step"]) for row in histories[EXACT][0]]), curves


def comparisons(
    exact: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> list[Comparison]:
    """Compare the curves, seeds × T, of every quantity."""
    p_values = holm([same_curves(exact[quantity], other[quantity]) for quantity in exact])
    return [
        _comparison(quantity, exact[quantity], other[quantity], p)
        for quantity, p in zip(exact, p_values, strict=True)
    ]


def _comparison(quantity: str, exact_st: np.ndarray, other_st: np.ndarray, p: float) -> Comparison:
    last = -(-exact_st.shape[1] // END)
    exact_s, other_s = exact_st[:, -last:].mean(1), other_st[:, -last:].mean(1)
    difference = interval(list(other_s / exact_s - 1), LEVEL)
    return Comparison(
        quantity=quantity,
        exact=float(exact_s.mean()),
        difference=(difference.mean, difference.low, difference.high),
        spread=float(exact_s.std(ddof=1) / exact_s.mean()),
        p=p,
    )


def same_curves(one_st: np.ndarray, other_st: np.ndarray) -> float:
    """Return the p-value of two groups of curves, seeds × T, being drawn alike.

    A permutation test: in how many of all ways to divide the curves into two groups is the
    largest distance of the means, over steps and in standard deviations of that step, as large as
    here? With five seeds each there are 126 ways, and p is at least 0.008. Seeds of both groups
    share weights and batches at the start, which makes distances smaller than chance would.
    """
    curves_st = np.concatenate([one_st, other_st])
    curves_st = (curves_st - curves_st.mean(0)) / curves_st.std(0, ddof=1)

    def distance(group: Sequence[int]) -> float:
        rest = np.setdiff1d(range(len(curves_st)), group)
        return np.abs(curves_st[list(group)].mean(0) - curves_st[rest].mean(0)).max()

    found = distance(range(len(one_st)))
    ways = [distance(group) for group in combinations(range(len(curves_st)), len(one_st))]
    return float(np.mean([way >= found * (1 - 1e-12) for way in ways]))


def page(record: Mapping[str, Any], found: Sequence[Comparison]) -> str:
    """Return the comparison as Markdown."""
    header = ("Quantity", "float32", record["precision"], "Seeds' spread", "Curves' p", "Verdict")
    rows = [
        (
            QUANTITIES[c.quantity],
            f"{c.exact:.2f}",
            "{:+.2%} ({:+.2%} to {:+.2%})".format(*c.difference),
            f"{c.spread:.2%}",
            f"{c.p:.2f}",
            "indistinguishable" if c.indistinguishable else "told apart",
        )
        for c in found
    ]
    settings, p = record["settings"], record["provenance"]
    images = "drawn images" if record["stand_in"] else "images"
    conditions = (
        f"{record['method']} on {images} of {dataset_name(record['dataset'])}, "
        f"{settings['network'].title()} network, {record['seeds']} seeds, {settings['steps']:,} "
        f"steps of {settings['batch_size']} images, learning rate {settings['learning_rate']:g}; "
        f"{p['device']}, PyTorch {p['packages']['torch']}. Second column: mean of the last quarter "
        "of the steps. Third: by how much it is larger, paired by seed, with the 95 % interval."
    )
    return f"{table(header, rows, header[1:5])}\n\n{conditions}\n"


def draw_curves(
    record: Mapping[str, Any],
    steps_t: np.ndarray,
    curves: Mapping[str, Mapping[str, np.ndarray]],
    output: Path,
) -> None:
    """Draw every seed's curves in both precisions, and below how far they are apart."""
    figure = empty_figure(7.2, 4.6)
    panels = figure.subplots(2, len(QUANTITIES), sharex=True, squeeze=False, height_ratios=(2, 1))
    for (above, below), quantity in zip(panels.T, QUANTITIES, strict=True):
        for colour, (name, of_quantity) in zip(COLOURS, curves.items(), strict=False):
            lines = above.plot(steps_t, of_quantity[quantity].T, color=colour, linewidth=0.8)
            lines[0].set_label(name)
        exact_st, other_st = (of_quantity[quantity] for of_quantity in curves.values())
        below.plot(steps_t, 100 * (other_st / exact_st - 1).T, color="#777777", linewidth=0.5)
        below.plot(steps_t, 100 * (other_st.mean(0) / exact_st.mean(0) - 1), color="black")
        unit = "nats" if quantity == "kl" else UNITS[record["settings"]["likelihood"]]
        above.set_ylabel(f"{QUANTITIES[quantity]}\n({unit})", fontsize=8)
        below.set_ylabel("Difference (%)", fontsize=8)
        below.set_xlabel("Step", fontsize=8)
        _tidy(above, below)
    figure.suptitle(title(record["dataset"], record["stand_in"], record["method"]), fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=2,
        fontsize=8,
        frameon=False,
        title="a line a seed; below: thin, of each seed; thick, of the means",
        title_fontsize=8,
    )
    save(figure, [output])


def _tidy(above: Axes, below: Axes) -> None:
    above.set_yscale("log")
    below.set_ylim(-20, 20)
    for axes in (above, below):
        axes.grid(alpha=0.25, linewidth=0.5)
        tidy(axes)


if __name__ == "__main__":
    sys.exit(main())
