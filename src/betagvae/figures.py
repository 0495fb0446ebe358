"""Figures 4 to 8 of the paper and the training curves; no global state, same bytes every time."""

from collections.abc import Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogFormatter, MaxNLocator
from torch import Tensor

from betagvae import paper
from betagvae.arrays import SIDE, open_array
from betagvae.errors import UserError
from betagvae.evaluation import load_model
from betagvae.files import read_csv, read_json, whole_file
from betagvae.networks import VariationalAutoencoder
from betagvae.runs import (
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
FRAMES = ("#e41a1c", "#18a02c")
"""The paper's red and green, around the most informative latents."""
STAND_IN = "drawn stand-in, not the paper's data"
GAP = 8
"""Pixels between the images of a traversal."""
DPI = 140

_UNITS = {"squared_error": "squared error", "bernoulli": "nats"}
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


def _figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """Return an empty figure; width and height in inches."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _title(dataset: str, stand_in: bool, detail: str = "", separator: str = " ") -> str:
    name = data_label(dataset, "", False) + (f", {detail}" if detail else "")
    return f"{name}{separator}— {STAND_IN}" if stand_in else name


def _tidy(axes: Axes) -> None:
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
        One of `betagvae.runs.QUANTITIES`.
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
    figure = _figure(max(4.8, 3.1 * len(names)), 3.6)
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
            axes.plot(x + 0.28, getattr(printed, quantity), **_PAPER_MARK)
    shown = split_label(split, first.splits)
    detail = shown if shown == "all images" else f"{shown} split"
    axes.set_title(_title(first.dataset, first.stand_in, detail, "\n"), fontsize=8.5)
    unit = _UNITS.get(first.likelihood, "") if quantity == "reconstruction_error" else "nats"
    axes.set_ylabel(f"{QUANTITIES[quantity]} an image ({unit})", fontsize=8)
    axes.set_xticks(range(len(methods)), methods)
    axes.set_xlim(-0.6, len(methods) - 0.4)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    _tidy(axes)


_PAPER_MARK: dict[str, Any] = {
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
        Line2D([], [], **_PAPER_MARK, label="the paper's value (CelebA)"),
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
    figure = _figure(7.2, 0.6 + 2.3 * len(names))
    panels = figure.subplots(len(names), len(QUANTITIES), squeeze=False)
    for row, name in zip(panels, names, strict=True):
        for axes, quantity in zip(row, QUANTITIES, strict=True):
            unit = "nats" if quantity == "kl" else _UNITS.get(known[name]["likelihood"], "")
            axes.set_title(_title(name, known[name]["stand_in"], separator="\n"), fontsize=9)
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
    _tidy(axes)
    axes.tick_params(which="minor", labelsize=7)


# Figs. 6 to 8


def traversals(
    array: Path,
    models: Mapping[str, Path],
    metrics: Mapping[str, Path],
    outputs: Sequence[Path],
    *,
    base_index: int,
    columns: int = 10,
    low: float = -3,
    high: float = 3,
    device: torch.device | str = "cpu",
) -> None:
    """Draw Fig. 6, 7 or 8: a panel a model, a row a latent, a column a value of that latent.

    Parameters
    ----------
    array
        The data set's ``.npy``.
    models
        Method to ``model.safetensors``, in the order of the panels.
    metrics
        Method to the metrics file of the same model; its KL per latent orders the rows.
    outputs
        PNG and PDF files.
    base_index
        Number of the image whose code, the posterior's mean, every model starts from.
    columns, low, high
        Values of a latent: `columns` of them from `low` to `high`, prior standard deviations.

    Raises
    ------
    UserError
        When a file is missing or of another run, or the base image is not in the data set.
    """
    figure = traversals_figure(
        array,
        models,
        metrics,
        base_index=base_index,
        values=torch.linspace(low, high, columns),
        device=torch.device(device),
    )
    save(figure, outputs)


def traversals_figure(
    array: Path,
    models: Mapping[str, Path],
    metrics: Mapping[str, Path],
    *,
    base_index: int,
    values: Tensor,
    device: torch.device,
) -> Figure:
    """Return the figure that `traversals` writes; `values` as float32, one a column."""
    images = open_array(Path(array))
    if not 0 <= base_index < len(images):
        raise UserError(f"no image {base_index} in {array}: it holds {len(images)}")
    lacking = [method for method in models if method not in metrics]
    if lacking:
        raise UserError(f"no metrics of {', '.join(lacking)} given: evaluate the model first")
    x_chw = torch.from_numpy(images.images([base_index])[0]).float() / 255
    kls = {method: _kl_per_latent(metrics[method], Path(models[method])) for method in models}
    rows, width = max(map(len, kls.values())), 3.6
    height = 0.9 + (width - 0.45) * (rows + 1) / len(values)
    figure = _figure(width * len(models), height, layout="compressed")
    figure.suptitle(_title(images.dataset, images.stand_in), fontsize=11)
    panels = figure.subplots(
        2, len(models), squeeze=False, gridspec_kw={"height_ratios": (1, rows)}
    )
    for index, (method, path) in enumerate(models.items()):
        model, _ = load_model(Path(path), device)
        mean_l = _posterior_mean(model, x_chw.to(device))
        strip, grid = panels[:, index]
        _show_base(strip, x_chw, _decode(model, mean_l[None])[0], len(values))
        strip.set_title(f"({'abcdefghij'[index]}) {method}", fontsize=10)
        _show_traversal(grid, model, mean_l, kls[method], values.to(device))
    return figure


def _kl_per_latent(path: Path, model: Path) -> tuple[float, ...]:
    """Return the KL of each latent, nats, from metrics that must be the model's own."""
    (run,) = load_runs([path])
    record = read_json(model.with_name("training.json"))
    settings = record["settings"]
    trained = (record["data"]["dataset"], *(settings[key] for key in ("beta", "gamma", "seed")))
    if trained != (run.dataset, run.beta, run.gamma, run.seed):
        raise UserError(f"{path} is not of {model}: give each model its own metrics")
    return run.splits[run.held_out].kl_per_latent


def by_information(kl_per_latent: Sequence[float]) -> list[int]:
    """Return the latents' numbers, the most informative first."""
    return sorted(range(len(kl_per_latent)), key=lambda latent: -kl_per_latent[latent])


@torch.no_grad()
def _posterior_mean(model: VariationalAutoencoder, x_chw: Tensor) -> Tensor:
    """Return the posterior's mean of one image, L."""
    return model.encoder(x_chw[None])[0][0]


@torch.no_grad()
def _decode(model: VariationalAutoencoder, z_nl: Tensor) -> Tensor:
    """Return the pixels' means in [0, 1], N×C×64×64, on the CPU."""
    return torch.sigmoid(model.decoder(z_nl)).cpu()


def traversal_codes(mean_l: Tensor, order: Sequence[int], values_v: Tensor) -> Tensor:
    """Return codes, L·V×L: for each latent in `order`, the base with each value in its place."""
    z_lvl = mean_l.repeat(len(order), len(values_v), 1)  # L×V×L
    for row, latent in enumerate(order):
        z_lvl[row, :, latent] = values_v
    return z_lvl.flatten(0, 1)


def _tiled(images_rvchw: Tensor) -> np.ndarray:
    """Put images, R×V×C×64×64, on a white sheet: uint8 height×width×3, `GAP` around each."""
    rows, columns, channels = images_rvchw.shape[:3]
    if channels == 1:
        images_rvchw = images_rvchw.expand(-1, -1, 3, -1, -1)
    step = SIDE + GAP
    sheet = np.full((rows * step + GAP, columns * step + GAP, 3), 255, dtype=np.uint8)
    pixels = (images_rvchw * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
    for row, column in np.ndindex(rows, columns):
        top, left = row * step + GAP, column * step + GAP
        sheet[top : top + SIDE, left : left + SIDE] = pixels[row, column]
    return sheet


def _show_base(axes: Axes, x_chw: Tensor, reconstruction_chw: Tensor, columns: int) -> None:
    """Show the base image and its reconstruction over a sheet as wide as the traversal's."""
    sheet = np.full((SIDE + 2 * GAP, columns * (SIDE + GAP) + GAP, 3), 255, dtype=np.uint8)
    pair = _tiled(torch.stack([x_chw, reconstruction_chw])[None])
    left = max(0, (sheet.shape[1] - pair.shape[1]) // 2)
    sheet[:, left : left + pair.shape[1]] = pair[:, : sheet.shape[1]]
    axes.imshow(sheet)
    axes.set_axis_off()
    middle = sheet.shape[0] / 2
    axes.text(left, middle, "base ", ha="right", va="center", fontsize=7)
    axes.text(left + pair.shape[1], middle, " reconstruction", ha="left", va="center", fontsize=7)


def _show_traversal(
    axes: Axes,
    model: VariationalAutoencoder,
    mean_l: Tensor,
    kl_per_latent: Sequence[float],
    values_v: Tensor,
) -> None:
    """Show rows by information, labelled with latent and KL, the two first framed."""
    order, columns = by_information(kl_per_latent), len(values_v)
    pixels = _decode(model, traversal_codes(mean_l, order, values_v))
    sheet = _tiled(pixels.unflatten(0, (len(order), columns)))
    axes.imshow(sheet)
    axes.spines[:].set_visible(False)
    step = SIDE + GAP
    middles = [row * step + step / 2 + GAP / 2 for row in range(len(order))]
    labels = [f"z{latent}  {kl_per_latent[latent]:.2f}" for latent in order]
    axes.set_yticks(middles, labels)
    ends = [SIDE / 2 + GAP, (columns - 1) * step + SIDE / 2 + GAP]
    axes.set_xticks(ends, [f"{value:+.1f}" for value in (values_v[0], values_v[-1])])
    axes.tick_params(length=0, pad=2, labelsize=6.5)
    axes.set_xlabel("value of the latent; rows by KL (nats)", fontsize=7, labelpad=-6)
    for row, colour in enumerate(FRAMES[: len(order)]):
        # A quarter of a gap inside its middle, so that neighbours do not cover each other.
        corner = (0.75 * GAP, row * step + 0.75 * GAP)
        width, height = columns * step - GAP / 2, step - GAP / 2
        frame = Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.3)
        axes.add_patch(frame)
