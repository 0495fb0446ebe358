"""Figures 4 and 5 of the paper and the training curves; no global state, same bytes every time."""

from collections.abc import Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, MaxNLocator

from betagvae.errors import UserError
from betagvae.paper import reported as paper
from betagvae.records.files import read_csv, read_json, whole_file
from betagvae.results.runs import (
    QUANTITIES,
    Run,
    data_label,
    dataset_rank,
    datasets,
    interval,
    load_runs,
    missing,
    seeds_of,
    split_label,
)

COLOURS = ("#4477aa", "#ddaa33", "#228866", "#aa3377", "#66ccee", "#777777")
"""One a method, told apart with any colour vision (after Tol)."""
STAND_IN = "drawn stand-in, not the paper's data"
DPI = 140

UNITS = {"squared_error": "squared error", "bernoulli": "nats"}
_NO_DATES = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
}


def save(figure: Figure, outputs: Sequence[Path]) -> None:
    """Write a figure as each of `outputs`, PNG or PDF, without dates."""
    for path in map(Path, outputs):
        if path.suffix not in _NO_DATES:
            raise UserError(f"{path}: figures are written as {' or '.join(_NO_DATES)}")
        with whole_file(path) as part:
            figure.savefig(part, dpi=DPI, metadata=_NO_DATES[path.suffix])


def empty_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """Return an empty figure; width and height in inches."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def title(dataset: str, stand_in: bool, detail: str = "", separator: str = " ") -> str:
    """Return the data set's name and a detail; a stand-in says, behind them, that it is one."""
    name = data_label(dataset, "", False) + (f", {detail}" if detail else "")
    return f"{name}{separator}— {STAND_IN}" if stand_in else name


def tidy(axes: Axes) -> None:
    """Leave out the frame's upper and right side; small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


# Figs. 4 and 5


def bars(
    metrics: Sequence[Path],
    methods: Mapping[str, tuple[float, float]],
    quantity: str,
    level: float,
    outputs: Sequence[Path],
) -> None:
    """Draw Fig. 4 (`reconstruction_error`) or Fig. 5 (`kl`): one panel a data set.

    Parameters
    ----------
    metrics
        Metrics files of every data set, method and seed.
    methods
        Name to (β, γ), in the order of the bars.
    quantity
        One of `betagvae.results.runs.QUANTITIES`.
    level
        Confidence level of the error bars.
    outputs
        PNG and PDF files.

    Raises
    ------
    UserError
        When a run is missing.
    """
    runs = load_runs(metrics)
    save(bars_figure(runs, methods, quantity, level), outputs)


def bars_figure(
    runs: Sequence[Run], methods: Mapping[str, tuple[float, float]], quantity: str, level: float
) -> Figure:
    """Return the figure that `bars` writes."""
    names = datasets(runs)
    figure = empty_figure(max(4.8, 3.1 * len(names)), 3.6)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        groups = [seeds_of(runs, name, *weights) for weights in methods.values()]
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
        printed = paper.reported(first.dataset, group[0].beta, group[0].gamma)
        if printed is not None:
            axes.plot(x + 0.28, getattr(printed, quantity), **PAPER_MARK)
    shown = split_label(split, first.splits)
    detail = shown if shown == "all images" else f"{shown} split"
    axes.set_title(title(first.dataset, first.stand_in, detail, "\n"), fontsize=8.5)
    unit = UNITS.get(first.likelihood, "") if quantity == "reconstruction_error" else "nats"
    axes.set_ylabel(f"{QUANTITIES[quantity]} an image ({unit})", fontsize=8)
    axes.set_xticks(range(len(methods)), methods)
    axes.set_xlim(-0.6, len(methods) - 0.4)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    tidy(axes)


PAPER_MARK: dict[str, Any] = {
    "marker": "D",
    "color": "white",
    "markeredgecolor": "#cc3311",
    "markeredgewidth": 1.5,
    "markersize": 6,
    "linestyle": "none",
    "zorder": 5,
}
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


# Training curves


def training_curves(
    histories: Sequence[Path],
    methods: Mapping[str, tuple[float, float]],
    outputs: Sequence[Path],
) -> None:
    """Draw reconstruction error and KL against step: a row a data set, a line a method.

    Parameters
    ----------
    histories
        ``history.csv`` files, each with its ``training.json`` beside it.
    methods
        Name to (β, γ); histories of other weights are left out.
    outputs
        PNG and PDF files.

    Raises
    ------
    UserError
        When a run is missing.
    """
    save(curves_figure(histories, methods), outputs)


def curves_figure(histories: Sequence[Path], methods: Mapping[str, tuple[float, float]]) -> Figure:
    """Return the figure that `training_curves` writes."""
    files, known = _histories_by_run(histories)
    names = sorted(known, key=dataset_rank)
    for name, weights in product(names, methods.values()):
        if (name, *weights) not in files:
            raise missing("history", name, *weights)
    figure = empty_figure(7.2, 0.6 + 2.3 * len(names))
    panels = figure.subplots(len(names), len(QUANTITIES), squeeze=False)
    for row, name in zip(panels, names, strict=True):
        for axes, quantity in zip(row, QUANTITIES, strict=True):
            unit = "nats" if quantity == "kl" else UNITS.get(known[name]["likelihood"], "")
            axes.set_title(title(name, known[name]["stand_in"], separator="\n"), fontsize=9)
            axes.set_ylabel(f"{QUANTITIES[quantity]}\n({unit})", fontsize=8)
            for colour, (method, weights) in zip(cycle(COLOURS), methods.items(), strict=False):
                _curve(axes, files[name, *weights], quantity, method, colour)
            _tidy_curves(axes, quantity)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        fontsize=8,
        frameon=False,
        title="mean over seeds; band: lowest to highest seed",
        title_fontsize=8,
    )
    return figure


def _histories_by_run(
    histories: Sequence[Path],
) -> tuple[dict[tuple[str, float, float], list[Path]], dict[str, dict[str, Any]]]:
    """Return paths by (dataset, β, γ), and each data set's `stand_in` and `likelihood`."""
    files: dict[tuple[str, float, float], list[Path]] = {}
    known: dict[str, dict[str, Any]] = {}
    for path in map(Path, histories):
        record = read_json(path.with_name("training.json"))
        settings, data = record["settings"], record["data"]
        key = (data["dataset"], settings["beta"], settings["gamma"])
        files.setdefault(key, []).append(path)
        known[data["dataset"]] = {
            "stand_in": data["stand_in"],
            "likelihood": settings["likelihood"],
        }
    if not files:
        raise UserError("no histories given: train the models first")
    return files, known


def _curve(axes: Axes, files: Sequence[Path], quantity: str, method: str, colour: str) -> None:
    """Draw a method's mean over seeds and, behind it, the range of its seeds."""
    by_seed = [
        {int(float(row["step"])): float(row[quantity]) for row in read_csv(path)}
        for path in sorted(files)
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
