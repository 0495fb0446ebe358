"""Figures 4 to 8 and the training curves: what is on them, and the same bytes every time."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from image_arrays import write_array
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle
from run_files import METHODS, STAND_IN, data_of, experiment, training, write_metrics
from safetensors.torch import save_file

from betagvae.data.arrays import SIDE
from betagvae.errors import UserError
from betagvae.model.device import generator
from betagvae.model.networks import VariationalAutoencoder, initialise
from betagvae.paper import figures_4_5, pictures, training_curves
from betagvae.paper import figures_6_7_8 as traversals
from betagvae.records.files import read_json, sha256, write_json
from betagvae.results.runs import load, load_runs
from betagvae.settings.paper import TraversalSettings

LATENTS = 3
KL = [0.5, 4.0, 2.0]


@pytest.fixture(autouse=True)
def one_thread():
    """Small models run faster on one thread, and their bytes do not depend on the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_run(e, dataset, method, seed):
    """Write one training's metrics, history and record; return its folder."""
    changes = {} if dataset == "dsprites" else STAND_IN
    one = training(e, dataset, method, seed)
    error, row = 200.0 + 10 * one.settings.beta + seed, one.row
    metrics = write_metrics(e, dataset, row, seed, error, sum(KL), **changes)
    content = read_json(metrics)
    for part in content["splits"].values():
        part.update(reconstruction_error=error, kl_per_latent=KL)
    write_json(metrics, content)
    folder = metrics.parent
    data = {**data_of(dataset), **changes, "channels": 3 if dataset == "celeba" else 1}
    record = {"settings": asdict(one.settings), "data": data}
    (folder / "training.json").write_text(json.dumps(record))
    lines = [f"{step},{900 / step + seed},{5 + step / 30}" for step in (10, 20, 30)]
    (folder / "history.csv").write_text("\n".join(["step,reconstruction_error,kl", *lines]) + "\n")
    return folder


def written(folder, methods=METHODS, datasets=("celeba", "dsprites"), **shared):
    """Write all trainings of an experiment, and return it."""
    e = experiment(folder, methods, datasets=datasets, latents=LATENTS, **shared)
    for dataset in datasets:
        for method in methods:
            for seed in e.seeds:
                write_run(e, dataset, method, seed)
    return e


@pytest.fixture
def two(tmp_path):
    return written(tmp_path)


def bars(e, quantity="reconstruction_error"):
    return figures_4_5.bars_figure(load_runs(e), quantity, 0.95)


def curves(e):
    """Return the figure that the command writes."""
    return training_curves.curves_figure(load(e, "training.json", training_curves._trained))


def test_bars_have_a_panel_a_data_set_in_order_and_marked(two):
    celeba, sprites = bars(two).axes
    assert celeba.get_title() == f"CelebA, test split\n— {pictures.STAND_IN}"
    assert sprites.get_title() == "dSprites, all images"
    turned = replace(two, shared=dict(reversed(two.shared.items())))
    titles = [axes.get_title() for axes in bars(turned).axes]
    assert titles == [sprites.get_title(), celeba.get_title()]


def test_bars_show_means_seeds_and_the_papers_values(two):
    celeba, sprites = bars(two).axes
    heights = [bar.get_height() for bar in celeba.patches]
    assert heights == [fmean((210.0, 211.0)), *[fmean((240.0, 241.0))] * 2]
    assert [text.get_text() for text in celeba.get_xticklabels()] == list(METHODS)
    diamonds = [line.get_ydata()[0] for line in celeba.lines if line.get_marker() == "D"]
    assert diamonds == [227.243, 247.686, 230.867]
    assert not [line for line in sprites.lines if line.get_marker() == "D"]
    dots = [line for line in celeba.lines if line.get_marker() == "o"]
    assert [len(line.get_ydata()) for line in dots] == [2, 2, 2]


def test_bars_without_spread_have_no_error_bar(two):
    for axes in bars(replace(two, seeds=(0,))).axes:
        assert {type(container) for container in axes.containers} == {BarContainer}


def test_bars_name_a_missing_run(two):
    Path(training(two, "celeba", "β-GVAE", 0).folder, "metrics.json").unlink()
    with pytest.raises(UserError, match=r"celeba/beta4_gamma10/seed0/metrics\.json"):
        bars(two, "kl")


def test_axes_name_both_units_where_methods_differ_in_likelihood(tmp_path):
    methods = {"squared": {"beta": 1}, "nats": {"beta": 1, "likelihood": "bernoulli"}}
    e = written(tmp_path, methods, datasets=("celeba",))
    label = "Reconstruction error"
    (axes,) = bars(e).axes
    assert axes.get_ylabel() == f"{label} an image (squared error or nats)"
    error, kl = curves(e).axes
    assert error.get_ylabel() == f"{label}\n(squared error or nats)"
    assert kl.get_ylabel() == "KL divergence\n(nats)"
    alone = bars(written(tmp_path, {"squared": {"beta": 1}}, datasets=("celeba",))).axes[0]
    assert alone.get_ylabel() == f"{label} an image (squared error)"


def test_curves_have_a_row_a_data_set_and_a_line_a_method(two):
    figure = curves(two)
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == list(METHODS)
        assert len(axes.collections) == len(METHODS)
    assert pictures.STAND_IN in figure.axes[0].get_title()
    assert figure.axes[2].get_title() == "dSprites"
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [90.5, 45.5, 30.5])


def test_curves_name_a_missing_run(two):
    Path(training(two, "dsprites", "β-VAE", 1).folder, "training.json").unlink()
    with pytest.raises(UserError, match=r"dsprites/beta4_gamma0/seed1/training\.json"):
        curves(two)


def test_curves_of_another_training_are_refused(two):
    path = Path(training(two, "dsprites", "β-VAE", 1).folder, "training.json")
    record = read_json(path)
    write_json(path, {**record, "settings": {**record["settings"], "learning_rate": 1e-3}})
    with pytest.raises(UserError, match=r"seed1/training\.json is of another training"):
        curves(two)


def make_traversal(folder, dataset, channels, *, stand_in):
    """Return an array, and an experiment with a random model a method on it."""
    images = np.random.default_rng(0).integers(0, 256, (4, channels, SIDE, SIDE), dtype=np.uint8)
    described = {"dataset": dataset, "stand_in": stand_in}
    array = write_array(folder / "images.npy", images, splits={"train": (0, 4)}, **described)
    e = experiment(folder, datasets=("celeba", "chairs3d", "dsprites"), latents=LATENTS)
    for seed, method in enumerate(METHODS):
        run = write_run(e, dataset, method, 0)
        model = VariationalAutoencoder("higgins", channels, LATENTS)
        initialise(model, generator(seed, "model"))
        save_file(model.state_dict(), run / "model.safetensors")
        weights = {"sha256": sha256(run / "model.safetensors")}
        write_json(run / "training.json", {**read_json(run / "training.json"), "weights": weights})
    return array, e


@pytest.fixture
def traversal(monkeypatch):
    """Draws a traversal and returns its figure."""
    drawn = []
    monkeypatch.setattr(traversals, "save", lambda figure, outputs: drawn.append(figure))

    def draw(made, base_index=1):
        traversals.traversals(*made, TraversalSettings(), base_index, [])
        return drawn.pop()

    return draw


def test_traversal_has_rows_by_kl_and_red_and_green_frames(tmp_path, traversal):
    figure = traversal(make_traversal(tmp_path, "celeba", 3, stand_in=True))
    assert figure.get_suptitle() == f"CelebA — {pictures.STAND_IN}"
    strips, grids = figure.axes[:3], figure.axes[3:]
    assert [axes.get_title() for axes in strips] == ["(a) VAE", "(b) β-VAE", "(c) β-GVAE"]
    for axes in grids:
        labels = [text.get_text() for text in axes.get_yticklabels()]
        assert [label.split()[0] for label in labels] == ["z1", "z2", "z0"]
        frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert [to_hex(frame.get_edgecolor()) for frame in frames] == list(traversals.FRAMES)
        assert frames[0].get_y() < frames[1].get_y() < SIDE + 2 * traversals.GAP
        step = SIDE + traversals.GAP
        height, width = axes.images[0].get_array().shape[:2]
        assert (height, width) == (LATENTS * step + traversals.GAP, 10 * step + traversals.GAP)


def test_all_panels_start_from_the_same_real_image(tmp_path, traversal):
    made = make_traversal(tmp_path, "celeba", 3, stand_in=True)
    strips = [axes.images[0].get_array() for axes in traversal(made, 2).axes[:3]]
    gap = traversals.GAP
    left = (strips[0].shape[1] - (2 * (SIDE + gap) + gap)) // 2 + gap
    expected = np.load(made[0])[2].transpose(1, 2, 0)
    for sheet in strips:
        np.testing.assert_array_equal(sheet[gap : gap + SIDE, left : left + SIDE], expected)


def test_grey_images_stay_grey_and_real_ones_unmarked(tmp_path, traversal):
    figure = traversal(make_traversal(tmp_path, "dsprites", 1, stand_in=False))
    assert figure.get_suptitle() == "dSprites"
    sheet = figure.axes[3].images[0].get_array()
    assert (sheet[..., 0] == sheet[..., 2]).all()


def test_a_row_moves_one_latent_through_every_value():
    base, values = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([-3.0, 3.0])
    codes = traversals.traversal_codes(base, [2, 0], values)
    expected = [[0.1, 0.2, -3], [0.1, 0.2, 3], [-3, 0.2, 0.3], [3, 0.2, 0.3]]
    assert torch.equal(codes, torch.tensor(expected))


def test_equal_information_keeps_the_latents_order():
    assert traversals.by_information([1.0, 2.0, 1.0]) == [1, 0, 2]


def test_a_base_image_outside_the_set_is_an_error(tmp_path, traversal):
    with pytest.raises(UserError, match="no image 4"):
        traversal(make_traversal(tmp_path, "celeba", 3, stand_in=True), base_index=4)


def test_panels_have_the_configurations_order_and_show_the_first_seed(tmp_path, traversal):
    array, e = make_traversal(tmp_path, "celeba", 3, stand_in=True)
    write_run(e, "celeba", "VAE", 1)  # without a model
    turned = replace(e, methods=dict(reversed(e.methods.items())), seeds=(0, 1))
    titles = [axes.get_title() for axes in traversal((array, turned)).axes[:3]]
    assert titles == ["(a) β-GVAE", "(b) β-VAE", "(c) VAE"]


def test_metrics_of_another_training_are_refused(tmp_path, traversal):
    array, e = make_traversal(tmp_path, "celeba", 3, stand_in=True)
    vae, other = (training(e, "celeba", name, 0).folder for name in ("VAE", "β-VAE"))
    Path(vae, "metrics.json").write_bytes(Path(other, "metrics.json").read_bytes())
    with pytest.raises(UserError, match=r"metrics\.json is of another training"):
        traversal((array, e))


def test_a_model_that_training_did_not_write_is_refused(tmp_path, traversal):
    array, e = make_traversal(tmp_path, "celeba", 3, stand_in=True)
    vae, other = (training(e, "celeba", name, 0).folder for name in ("VAE", "β-VAE"))
    Path(vae, "model.safetensors").write_bytes(Path(other, "model.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        traversal((array, e))


def test_an_array_that_the_configuration_lacks_is_refused(tmp_path, traversal):
    array, e = make_traversal(tmp_path, "celeba", 3, stand_in=True)
    with pytest.raises(UserError, match="no data set 'celeba' in the configuration: it has dspr"):
        traversal((array, e.on("dsprites")))


def test_figures_have_the_same_bytes_every_time(tmp_path):
    array, e = make_traversal(tmp_path, "chairs3d", 1, stand_in=True)
    e = replace(e.on("chairs3d"), seeds=(0,))
    results = []
    for attempt in ("first", "second"):
        drawn = {
            name: [tmp_path / attempt / f"{name}.{ending}" for ending in ("png", "pdf")]
            for name in ("bars", "curves", "traversals")
        }
        figures_4_5.bars(e, "kl", 0.95, drawn["bars"])
        training_curves.training_curves(e, drawn["curves"])
        settings = TraversalSettings(columns=2)
        traversals.traversals(array, e, settings, 0, drawn["traversals"])
        results.append([path.read_bytes() for paths in drawn.values() for path in paths])
    assert results[0] == results[1]
    assert all(data[:4] in (b"\x89PNG", b"%PDF") for data in results[0])


def test_pairs_of_table_1_are_in_no_figure_of_the_methods(tmp_path, two):
    swept = replace(two, swept="celeba", pairs=((2.0, 2.0),))
    outputs = [tmp_path / "bars.png"], [tmp_path / "curves.png"]
    figures_4_5.bars(swept, "kl", 0.95, outputs[0])
    training_curves.training_curves(swept, outputs[1])
    assert all(path.exists() for (path,) in outputs)


def test_other_formats_are_refused(tmp_path, two):
    with pytest.raises(UserError, match=r"figure\.svg"):
        figures_4_5.bars(two, "kl", 0.95, [tmp_path / "figure.svg"])
