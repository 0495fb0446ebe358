"""Figures 6 to 8 of the paper: latent traversals of several models side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from betagvae.data.arrays import SIDE, open_array
from betagvae.errors import UserError
from betagvae.evaluation.metrics import load_model
from betagvae.model.networks import VariationalAutoencoder
from betagvae.paper.figures_4_5 import empty_figure, save, title
from betagvae.records.files import read_json
from betagvae.results.runs import load_runs

FRAMES = ("#e41a1c", "#18a02c")
"""The paper's red and green, around the most informative latents."""
GAP = 8
"""Pixels between the images of a traversal."""


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
    figure = empty_figure(width * len(models), height, layout="compressed")
    figure.suptitle(title(images.dataset, images.stand_in), fontsize=11)
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
