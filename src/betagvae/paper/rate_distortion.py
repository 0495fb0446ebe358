"""Reconstruction error against KL divergence: every run, and what a training could have reached.

A model trained with γ = 0 minimises reconstruction error + β·KL and nothing else. That sum is equal
along a line of slope −β, and smaller below it: a point below the line is better at the model's own
objective than the model that was trained for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from betagvae.errors import UserError
from betagvae.experiment import (
    ALWAYS_NAMED,
    Experiment,
    Pair,
    Row,
    pair_label,
    pair_of,
    row_label,
)
from betagvae.paper import reported
from betagvae.paper.pictures import (
    PAPER_MARK,
    empty_figure,
    legend_columns,
    method_colours,
    save,
    tidy,
    title,
    unit,
)
from betagvae.results.labels import split_label
from betagvae.results.runs import Results, Run, load_runs
from betagvae.settings.training import WEIGHTS

OTHER = "#999999"
"""Colour of runs of Table 1 whose weights are not a method's."""
WIDTH = 8.4
"""Of the figure, inches."""
CLOSE = 0.035
"""Points nearer than this part of the panel, along both axes, share their text."""

EXPLANATION = """\
A dot is one seed. A line of slope −β goes through each method's mean: along it, reconstruction
error + β·KL is equal, and below it smaller. A solid line's model is trained for that sum
alone: points of the same β that lie far below need an explanation."""

Point = tuple[float, float]
"""KL divergence, reconstruction error."""


@dataclass(frozen=True)
class _Group:
    """What is drawn alike: the trainings of a row of settings, or a value of the paper's."""

    pair: Pair
    colour: str
    line: str
    """Style of the line of slope −β through the mean; empty where it is no method's."""
    points: Sequence[Point]


@dataclass(frozen=True)
class _Panel:
    title: str
    unit: str
    trained: Sequence[_Group]
    """Empty in the panel of the paper's values."""
    printed: Sequence[_Group]
    """Of the paper; empty where they cannot be compared."""


def rate_distortion(experiment: Experiment, outputs: Sequence[Path]) -> None:
    """Draw the paper's values and, a panel a data set, every training.

    Parameters
    ----------
    experiment
        A line of slope −β goes through the mean of each of its methods.
    outputs
        PNG and PDF files.

    Raises
    ------
    UserError
        When no training of a data set has finite numbers.
    """
    save(rate_distortion_figure(load_runs(experiment)), outputs)


def rate_distortion_figure(runs: Results[Run]) -> Figure:
    """Return the figure that `rate_distortion` writes."""
    panels = [_paper_panel(runs.experiment), *(_run_panel(runs, name) for name in runs.datasets)]
    rows = (len(panels) + 1) // 2
    figure = empty_figure(WIDTH, 0.9 + 3.5 * rows)
    places = figure.subplots(rows, 2, squeeze=False).flatten()
    for axes, panel in zip(places, panels, strict=False):
        _draw(axes, panel)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    handles = _legend(runs.experiment)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=legend_columns([handle.get_label() for handle in handles], WIDTH),
        fontsize=8,
        frameon=False,
        title=EXPLANATION,
        title_fontsize=8,
        handlelength=3,
    )
    return figure


def _colours(experiment: Experiment) -> dict[Pair, tuple[str, str]]:
    """Return colour and line of the methods by their weights in eq. 7, for the paper's values.

    Of methods with the same weights, that which sets least besides.
    """
    colours, others = method_colours(experiment.methods), set(WEIGHTS) - set(ALWAYS_NAMED)
    methods = experiment.methods.items()
    plain = [(row, colours[name]) for name, row in methods if not any(map(row.get, others))]
    found = {}
    for row, colour in sorted(plain, key=lambda method: len(method[0])):
        found.setdefault(pair_of(row), (colour, _line(row)))
    return found


def _line(row: Row) -> str:
    """Return the style of a method's line: dashed where more than the sum is minimised."""
    return "--" if any(row.get(weight) for weight in WEIGHTS if weight != "beta") else "-"


def _printed(experiment: Experiment) -> list[_Group]:
    colours = _colours(experiment)
    rows = {(r.beta, r.gamma): r for r in (*reported.TABLE_1, *reported.TABLE_2)}
    return [
        _Group(pair, *colours.get(pair, (OTHER, "")), [(row.kl, row.reconstruction_error)])
        for pair, row in rows.items()
    ]


def _paper_panel(experiment: Experiment) -> _Panel:
    return _Panel("CelebA, the paper's values", "as printed", [], _printed(experiment))


def _run_panel(runs: Results[Run], dataset: str) -> _Panel:
    """Return the panel of one data set, on the split that tables put first."""
    all_runs, first = runs.all(dataset), runs.all(dataset)[0]
    trained = _trained(runs, dataset)
    if not trained:
        raise UserError(f"every training of {dataset} diverged: there is nothing to draw")
    split = split_label(first.held_out, first.splits)
    detail = f"our runs, {split if split == 'all images' else f'{split} split'}"
    diverged = len(all_runs) - sum(len(group.points) for group in trained)
    detail += f", {diverged} diverged left out" if diverged else ""
    heading = title(dataset, first.stand_in, detail, "\n")
    likelihoods = {run.settings.likelihood for run in all_runs}
    alike = (dataset, first.stand_in) == (reported.DATASET, False)
    alike = alike and likelihoods == {reported.LIKELIHOOD}
    printed = _printed(runs.experiment) if alike else []
    return _Panel(heading, unit("reconstruction_error", all_runs), trained, printed)


def _trained(runs: Results[Run], dataset: str) -> list[_Group]:
    """Return the trainings by what they set, the methods first; those that diverged are left out.

    A pair of Table 1 that is a method's is that method.
    """
    experiment = runs.experiment
    colours, methods = method_colours(experiment.methods), experiment.methods.items()
    styles = {experiment.named(dataset, row): (colours[m], _line(row)) for m, row in methods}
    rows = {experiment.named(dataset, row): row for row in experiment.rows(dataset)}
    groups = [
        _Group(pair_of(row), *styles.get(name, (OTHER, "")), _points(runs.of(dataset, row)))
        for name, row in rows.items()
    ]
    return [group for group in groups if group.points]


def _points(runs: Sequence[Run]) -> list[Point]:
    parts = [run.splits[run.held_out] for run in runs]
    points = [(part.kl, part.reconstruction_error) for part in parts]
    return [point for point in points if all(map(math.isfinite, point))]


def _draw(axes: Axes, panel: _Panel) -> None:
    for group in panel.printed:
        axes.plot(*group.points[0], **{**PAPER_MARK, "color": group.colour})
    for group in panel.trained:
        axes.plot(*zip(*group.points, strict=True), **_RUN_MARK, color=group.colour)
    _fit_limits(axes, panel)
    groups = panel.trained or panel.printed
    for group in groups:
        if group.line:
            style = {"color": group.colour, **_stroke(group.line)}
            axes.axline(_mean(group.points), slope=-group.pair[0], **style)
    _name_points(axes, [g for g in groups if not (g.line and panel.trained)])
    axes.set_title(panel.title, fontsize=9)
    axes.set_xlabel("KL divergence an image (nats)", fontsize=8)
    axes.set_ylabel(f"Reconstruction error an image ({panel.unit})", fontsize=8)
    tidy(axes)


def _mean(points: Sequence[Point]) -> Point:
    kl, error = (fmean(values) for values in zip(*points, strict=True))
    return kl, error


_RUN_MARK = {
    "marker": "o",
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
    "markersize": 6,
    "linestyle": "none",
    "zorder": 4,
}


def _stroke(line: str) -> dict[str, object]:
    return {"linestyle": line, "linewidth": 1.2, "alpha": 0.75, "zorder": 2}


def _fit_limits(axes: Axes, panel: _Panel) -> None:
    """Fix the limits to the points, so that the lines do not stretch them."""
    groups = (*panel.printed, *panel.trained)
    both = np.array(list(chain.from_iterable(group.points for group in groups)))
    low, high = both.min(0), both.max(0)
    room = np.maximum(high - low, 1e-3 * np.abs(high)) * 0.15
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])


def _name_points(axes: Axes, groups: Sequence[_Group]) -> None:
    """Write (β, γ) beside the rightmost point, one text for pairs that lie on each other."""
    places = {group.pair: axes.transLimits.transform(group.points) for group in groups}
    for pairs in _neighbours({pair: place.mean(0) for pair, place in places.items()}):
        axes.annotate(
            " ".join(map(pair_label, pairs)),
            max(tuple(place) for pair in pairs for place in places[pair]),
            xycoords="axes fraction",
            xytext=(7, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=7,
            color="#444444",
            zorder=6,
        )


def _neighbours(means: Mapping[Pair, np.ndarray]) -> list[list[Pair]]:
    """Return pairs with those together that lie `CLOSE` to the first of their group."""
    groups: list[list[Pair]] = []
    for pair in sorted(means):
        near = [g for g in groups if np.abs(means[g[0]] - means[pair]).max() < CLOSE]
        if near:
            near[0].append(pair)
        else:
            groups.append([pair])
    return groups


def _legend(experiment: Experiment) -> list[Line2D]:
    named = [
        Line2D(
            [],
            [],
            **{**_RUN_MARK, **_stroke(_line(experiment.methods[name]))},
            color=colour,
            label=f"{name} {row_label(experiment.methods[name])}",
        )
        for name, colour in method_colours(experiment.methods).items()
    ]
    other = Line2D([], [], **_RUN_MARK, color=OTHER, label="other (β, γ)")
    printed = Line2D([], [], **PAPER_MARK, label="the paper's value")
    return [*named, other, printed]
