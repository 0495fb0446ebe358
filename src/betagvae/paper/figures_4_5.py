"""Figures 4 and 5 of the paper: reconstruction error and KL divergence of the methods."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from betagvae.experiment import Experiment
from betagvae.paper import reported
from betagvae.paper.pictures import COLOURS, PAPER_MARK, empty_figure, save, tidy, title, unit
from betagvae.results.intervals import interval
from betagvae.results.labels import QUANTITIES, split_label
from betagvae.results.runs import Results, Run, load_runs


def bars(experiment: Experiment, quantity: str, level: float, outputs: Sequence[Path]) -> None:
    """Draw Fig. 4 (`reconstruction_error`) or Fig. 5 (`kl`): one panel a data set.

    Parameters
    ----------
    experiment
        Its methods are the bars, in order.
    quantity
        One of `betagvae.results.labels.QUANTITIES`.
    level
        Confidence level of the error bars.
    outputs
        PNG and PDF files.

    Raises
    ------
    UserError
        When a training's metrics are missing.
    """
    save(bars_figure(load_runs(experiment.without_table1()), quantity, level), outputs)


def bars_figure(runs: Results[Run], quantity: str, level: float) -> Figure:
    """Return the figure that `bars` writes."""
    names, methods = runs.datasets, runs.experiment.methods
    figure = empty_figure(max(4.8, len(names) * max(3.1, 0.9 * len(methods))), 3.6)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        groups = [runs.of(name, row) for row in methods.values()]
        _bar_panel(axes, list(methods), groups, quantity, level)
    figure.legend(
        handles=_bar_legend(level), loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )
    return figure


def _bar_panel(
    axes: Axes, methods: Sequence[str], groups: Sequence[Sequence[Run]], quantity: str, level: float
) -> None:
    first = groups[0][0]
    split = first.held_out
    for x, group in enumerate(groups):
        values = [getattr(run.splits[split], quantity) for run in group]
        _bar(axes, x, values, level)
        printed = reported.reported(first.dataset, group[0].settings)
        if printed is not None:
            axes.plot(x + 0.28, getattr(printed, quantity), **PAPER_MARK)
    shown = split_label(split, first.splits)
    detail = shown if shown == "all images" else f"{shown} split"
    axes.set_title(title(first.dataset, first.stand_in, detail, "\n"), fontsize=8.5)
    of_values = unit(quantity, chain.from_iterable(groups))
    axes.set_ylabel(f"{QUANTITIES[quantity]} an image ({of_values})", fontsize=8)
    axes.set_xticks(range(len(methods)), methods)
    axes.set_xlim(-0.6, len(methods) - 0.4)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    tidy(axes)


_SEED_MARK: dict[str, Any] = {
    "marker": "o",
    "color": "white",
    "markeredgecolor": "black",
    "markeredgewidth": 0.8,
    "markersize": 4,
    "linestyle": "none",
    "zorder": 4,
}


def _bar(axes: Axes, x: int, values: Sequence[float], level: float) -> None:
    """Draw a mean over seeds, its interval, and every seed."""
    mean = interval(values, level)
    axes.bar(x, mean.mean, width=0.7, color=COLOURS[x % len(COLOURS)])
    if mean.low is not None and mean.high is not None:
        half = mean.high - mean.mean
        axes.errorbar(x, mean.mean, yerr=half, color="black", capsize=4, linewidth=1.2, zorder=3)
    offsets = np.linspace(-0.2, 0.08, len(values)) if len(values) > 1 else np.array([-0.12])
    axes.plot(x + offsets, values, **_SEED_MARK)


def _bar_legend(level: float) -> list[Line2D]:
    return [
        Line2D([], [], color="black", marker="_", label=f"mean and {100 * level:g} % interval"),
        Line2D([], [], **_SEED_MARK, label="one seed"),
        Line2D([], [], **PAPER_MARK, label="the paper's value (CelebA)"),
    ]
