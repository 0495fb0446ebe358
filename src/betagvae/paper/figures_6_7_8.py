"""Figures 6 to 8 of the paper: latent traversals of several models side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from betagvae.data.arrays import SIDE, open_array
from betagvae.errors import UserError
from betagvae.evaluation.metrics import load_model
from betagvae.experiment import Experiment
from betagvae.model.networks import VariationalAutoencoder
from betagvae.paper.pictures import empty_figure, save, title
from betagvae.results.runs import Run, load_runs
from betagvae.settings.paper import TraversalSettings

FRAMES = ("#e41a1c", "#18a02c")
"""The paper's red and green, around the most informative latents."""
GAP = 8
"""Pixels between the images of a traversal."""


def traversals(
    array: Path,
    experiment: Experiment,
    settings: TraversalSettings,
    base_index: int,
    outputs: Sequence[Path],
) -> None:
    """Draw Fig. 6, 7 or 8: a panel a method, a row a latent, a column a value of that latent.

    The model of a method's first seed is shown; the KL of each latent, in its metrics, orders the
    rows.

    Parameters
    ----------
    array
        The data set's ``.npy``.
    experiment
        Its methods are the panels, in order.
    settings
        Values of a latent.
    base_index
        Number of the image whose code, the posterior's mean, every model starts from.
    outputs
        PNG and PDF files.

    Raises
    ------
    UserError
        When a file is missing or of another training, or the base image is not in the data set.
    """
    images = open_array(array)
    if not 0 <= base_index < len(images):
        raise UserError(f"no image {base_index} in {array}: it holds {len(images)}")
    x_chw = torch.from_numpy(images.images([base_index])[0]).float() / 255
    runs = load_runs(experiment.without_table1().of_first_seed().on(images.dataset))
    shown = {method: runs.of(images.dataset, row)[0] for method, row in experiment.methods.items()}
    values = torch.linspace(settings.low, settings.high, settings.columns)
    save(traversals_figure(shown, x_chw, values, title(images.dataset, images.stand_in)), outputs)


def traversals_figure(
    runs: Mapping[str, Run], x_chw: Tensor, values: Tensor, heading: str
) -> Figure:
    """Return the figure that `traversals` writes.

    Parameters
    ----------
    runs
        Method to the training that is shown.
    x_chw
        The base image.
    values
        Of a latent, float32, one a column.
    heading
        Name of the data.
    """
    kls = {method: one.splits[one.held_out].kl_per_latent for method, one in runs.items()}
    rows, width = max(map(len, kls.values())), 3.6
    height = 0.9 + (width - 0.45) * (rows + 1) / len(values)
    figure = empty_figure(width * len(runs), height, layout="compressed")
    figure.suptitle(heading, fontsize=11)
    panels = figure.subplots(2, len(runs), squeeze=False, gridspec_kw={"height_ratios": (1, rows)})
    for index, (method, one) in enumerate(runs.items()):
        model, _ = load_model(one.path.with_name("model.safetensors"), torch.device("cpu"))
        mean_l = _posterior_mean(model, x_chw)
        strip, grid = panels[:, index]
        _show_base(strip, x_chw, _decode(model, mean_l[None])[0], len(values))
        strip.set_title(f"({ascii_lowercase[index % 26]}) {method}", fontsize=10)
        _show_traversal(grid, model, mean_l, kls[method], values)
    return figure


def by_information(kl_per_latent: Sequence[float]) -> list[int]:
    """Return the latents' numbers, the most informative first."""
    return sorted(range(len(kl_per_latent)), key=lambda latent: -kl_per_latent[latent])


@torch.no_grad()
def _posterior_mean(model: VariationalAutoencoder, x_chw: Tensor) -> Tensor:
    """Return the posterior's mean of one image, L."""
    return model.encoder(x_chw[None])[0][0]


@torch.no_grad()
def _decode(model: VariationalAutoencoder, z_nl: Tensor) -> Tensor:
    """Return the pixels' means in [0, 1], N×C×64×64."""
    return torch.sigmoid(model.decoder(z_nl))


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
