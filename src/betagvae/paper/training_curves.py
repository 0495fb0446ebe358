"""Reconstruction error and KL divergence during training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from betagvae.experiment import Experiment
from betagvae.paper.pictures import (
    empty_figure,
    legend_columns,
    method_colours,
    save,
    tidy,
    title,
    unit,
)
from betagvae.records.files import read_csv
from betagvae.records.identity import Identified, read_identity
from betagvae.results.labels import QUANTITIES
from betagvae.results.runs import Results, load

WIDTH = 7.2
"""Of the figure, inches."""


def training_curves(experiment: Experiment, outputs: Sequence[Path]) -> None:
    """Draw reconstruction error and KL against step: a row a data set, a line a method.

    Parameters
    ----------
    experiment
        Its methods are the lines; each training has ``history.csv`` beside ``training.json``.
    outputs
        PNG and PDF files.

    Raises
    ------
    UserError
        When a training is missing.
    """
    save(curves_figure(load(experiment.without_table1(), "training.json", _trained)), outputs)


def _trained(path: Path, record: dict[str, Any]) -> Identified:
    return Identified(path, **read_identity({**record["data"], "training": record["settings"]}))


def curves_figure(trained: Results[Identified]) -> Figure:
    """Return the figure that `training_curves` writes."""
    names, methods = trained.datasets, trained.experiment.methods
    figure = empty_figure(WIDTH, 0.6 + 2.3 * len(names))
    panels = figure.subplots(len(names), len(QUANTITIES), squeeze=False)
    for row, name in zip(panels, names, strict=True):
        groups = {method: trained.of(name, own) for method, own in methods.items()}
        first = next(iter(groups.values()))[0]
        for axes, quantity in zip(row, QUANTITIES, strict=True):
            of_values = unit(quantity, (one for group in groups.values() for one in group))
            axes.set_title(title(name, first.stand_in, separator="\n"), fontsize=9)
            axes.set_ylabel(f"{QUANTITIES[quantity]}\n({of_values})", fontsize=8)
            for method, colour in method_colours(methods).items():
                _curve(axes, groups[method], quantity, method, colour)
            _tidy_curves(axes, quantity)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=legend_columns(labels, WIDTH),
        fontsize=8,
        frameon=False,
        title="mean over seeds; band: lowest to highest seed",
        title_fontsize=8,
    )
    return figure


def _curve(
    axes: Axes, group: Sequence[Identified], quantity: str, method: str, colour: str
) -> None:
    """Draw a method's mean over seeds and, behind it, the range of its seeds."""
    by_seed = [
        {
            int(float(row["step"])): float(row[quantity])
            for row in read_csv(one.path.with_name("history.csv"))
        }
        for one in group
    ]
    steps = sorted(set.intersection(*map(set, by_seed)))
    values_st = np.array([[seed[step] for step in steps] for seed in by_seed])  # seeds × steps
    axes.plot(steps, values_st.mean(0), color=colour, linewidth=1.3, label=method)
    axes.fill_between(
        steps, values_st.min(0), values_st.max(0), color=colour, alpha=0.25, linewidth=0
    )


def _tidy_curves(axes: Axes, quantity: str) -> None:
    if quantity == "reconstruction_error":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(LogFormatter())
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("Step", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.25, linewidth=0.5)
    tidy(axes)
    axes.tick_params(which="minor", labelsize=7)
