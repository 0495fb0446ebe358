"""Reconstruction error against KL divergence: every run, and what a training could have reached.

A model trained with γ = 0 minimises reconstruction error + β·KL and nothing else. That sum is equal
along a line of slope −β, and smaller below it: a point below the line is better at the model's own
objective than the model that was trained for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from betagvae.errors import UserError
from betagvae.paper import reported as paper
from betagvae.paper.figures_4_5 import (
    COLOURS,
    PAPER_MARK,
    UNITS,
    empty_figure,
    save,
    tidy,
    title,
)
from betagvae.results.runs import Run, datasets, load_runs, split_label

OTHER = "#999999"
"""Colour of runs of Table 1 whose weights are not a method's."""
CLOSE = 0.035
"""Points nearer than this part of the panel, along both axes, share their text."""

EXPLANATION = """\
A dot is one seed. A line of slope −β goes through each method's mean: along it, reconstruction
error + β·KL is equal, and below it smaller. With γ = 0 (solid) a model is trained for that sum
alone: points of the same β that lie far below a solid line need an explanation."""

Pair = tuple[float, float]
Point = tuple[float, float]
"""KL divergence, reconstruction error."""


@dataclass(frozen=True)
class _Panel:
    """What one panel shows, by (β, γ)."""

    title: str
    unit: str
    runs: Mapping[Pair, Sequence[Point]]
    """A point a seed; empty in the panel of the paper's values."""
    printed: Mapping[Pair, Point]
    """The paper's; empty where they cannot be compared."""


def rate_distortion(
    metrics: Sequence[Path], methods: Mapping[str, Pair], outputs: Sequence[Path]
) -> None:
    """Draw the paper's values and, a panel a data set, every run.

    Parameters
    ----------
    metrics
        Metrics files of all runs.
    methods
        Name to (β, γ); a line of slope −β goes through each one's mean.
    outputs
        PNG and PDF files.

    Raises
    ------
    UserError
        When no run of a data set has finite numbers.
    """
    save(rate_distortion_figure(load_runs(metrics), methods), outputs)


def rate_distortion_figure(runs: Sequence[Run], methods: Mapping[str, Pair]) -> Figure:
    """Return the figure that `rate_distortion` writes."""
    panels = [_paper_panel(), *(_run_panel(runs, name) for name in datasets(runs))]
    rows = (len(panels) + 1) // 2
    figure = empty_figure(8.4, 0.9 + 3.5 * rows)
    places = figure.subplots(rows, 2, squeeze=False).flatten()
    for axes, panel in zip(places, panels, strict=False):
        _draw(axes, panel, methods)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    figure.legend(
        handles=_legend(methods),
        loc="outside lower center",
        ncols=len(methods) + 2,
        fontsize=8,
        frameon=False,
        title=EXPLANATION,
        title_fontsize=8,
        handlelength=3,
    )
    return figure


def _printed() -> dict[Pair, Point]:
    rows = (*paper.TABLE_1, *paper.TABLE_2)
    return {(row.beta, row.gamma): (row.kl, row.reconstruction_error) for row in rows}


def _paper_panel() -> _Panel:
    return _Panel("CelebA, the paper's values", "as printed", {}, _printed())


def _run_panel(runs: Sequence[Run], dataset: str) -> _Panel:
    """Return the panel of one data set, on the split that tables put first."""
    chosen = [run for run in runs if run.dataset == dataset]
    first, points, diverged = chosen[0], {}, 0
    for run in chosen:
        part = run.splits[first.held_out]
        point = (part.kl, part.reconstruction_error)
        if all(map(math.isfinite, point)):
            points.setdefault((run.beta, run.gamma), []).append(point)
        else:
            diverged += 1
    if not points:
        raise UserError(f"every training of {dataset} diverged: there is nothing to draw")
    split = split_label(first.held_out, first.splits)
    detail = f"our runs, {split if split == 'all images' else f'{split} split'}"
    detail += f", {diverged} diverged left out" if diverged else ""
    heading = title(dataset, first.stand_in, detail, "\n")
    alike = (dataset, first.stand_in, first.likelihood) == (paper.DATASET, False, paper.LIKELIHOOD)
    unit = UNITS.get(first.likelihood, "")
    return _Panel(heading, unit, points, _printed() if alike else {})


def _draw(axes: Axes, panel: _Panel, methods: Mapping[str, Pair]) -> None:
    colours = dict(zip(methods.values(), cycle(COLOURS), strict=False))
    for pair, point in panel.printed.items():
        axes.plot(*point, **{**PAPER_MARK, "color": colours.get(pair, OTHER)})
    for pair, points in panel.runs.items():
        axes.plot(*zip(*points, strict=True), **_RUN_MARK, color=colours.get(pair, OTHER))
    _fit_limits(axes, panel)
    points = panel.runs or {pair: [point] for pair, point in panel.printed.items()}
    for pair in filter(points.__contains__, colours):
        axes.axline(_mean(points[pair]), slope=-pair[0], color=colours[pair], **_stroke(pair))
    _name_points(axes, {p: q for p, q in points.items() if p not in colours or not panel.runs})
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


def _stroke(pair: Pair) -> dict[str, object]:
    return {"linestyle": "--" if pair[1] else "-", "linewidth": 1.2, "alpha": 0.75, "zorder": 2}


def _fit_limits(axes: Axes, panel: _Panel) -> None:
    """Fix the limits to the points, so that the lines do not stretch them."""
    both = np.array([*panel.printed.values(), *chain.from_iterable(panel.runs.values())])
    low, high = both.min(0), both.max(0)
    room = np.maximum(high - low, 1e-3 * np.abs(high)) * 0.15
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])


def _name_points(axes: Axes, points: Mapping[Pair, Sequence[Point]]) -> None:
    """Write (β, γ) beside the rightmost point, one text for pairs that lie on each other."""
    places = {pair: axes.transLimits.transform(several) for pair, several in points.items()}
    for group in _groups({pair: place.mean(0) for pair, place in places.items()}):
        axes.annotate(
            " ".join(f"({beta:g}, {gamma:g})" for beta, gamma in group),
            max(tuple(place) for pair in group for place in places[pair]),
            xycoords="axes fraction",
            xytext=(7, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=7,
            color="#444444",
            zorder=6,
        )


def _groups(means: Mapping[Pair, np.ndarray]) -> list[list[Pair]]:
    """Return pairs with those together that lie `CLOSE` to the first of their group."""
    groups: list[list[Pair]] = []
    for pair in sorted(means):
        near = [g for g in groups if np.abs(means[g[0]] - means[pair]).max() < CLOSE]
        if near:
            near[0].append(pair)
        else:
            groups.append([pair])
    return groups


def _legend(methods: Mapping[str, Pair]) -> list[Line2D]:
    named = [
        Line2D(
            [],
            [],
            **{**_RUN_MARK, **_stroke(pair)},
            color=colour,
            label=f"{name} ({pair[0]:g}, {pair[1]:g})",
        )
        for (name, pair), colour in zip(methods.items(), cycle(COLOURS), strict=False)
    ]
    other = Line2D([], [], **_RUN_MARK, color=OTHER, label="other (β, γ)")
    printed = Line2D([], [], **PAPER_MARK, label="the paper's value")
    return [*named, other, printed]
