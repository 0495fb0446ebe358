"""Figures 4 to 8 and the training curves: what is on them, and the same bytes every time."""

import json
from statistics import fmean

import numpy as np
import pytest
import torch
from image_arrays import write_array
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle
from safetensors.torch import save_file

from betagvae.data.arrays import SIDE
from betagvae.errors import UserError
from betagvae.model.device import generator
from betagvae.model.networks import VariationalAutoencoder, initialise
from betagvae.paper import figures_4_5 as figures
from betagvae.paper import figures_6_7_8 as traversals
from betagvae.records.files import read_json, sha256, write_json
from betagvae.results import runs

METHODS = {"VAE": (1, 0), "β-VAE": (4, 0), "β-GVAE": (4, 10)}
LATENTS = 3
KL = [0.5, 4.0, 2.0]


@pytest.fixture(autouse=True)
def one_thread():
    """Small models run faster on one thread, and their bytes do not depend on the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_run(folder, dataset, method, seed):
    """Write one training's metrics, history and record; return its folder."""
    beta, gamma = METHODS[method]
    folder = folder / f"{dataset}-{beta}-{gamma}-{seed}"
    folder.mkdir()
    stand_in = dataset != "dsprites"
    likelihood = "squared_error" if dataset == "celeba" else "bernoulli"
    part = {
        "images": 10,
        "reconstruction_error": 200.0 + 10 * beta + seed,
        "kl": sum(KL),
        "kl_per_latent": KL,
    }
    splits = {"train": part} | ({"test": part} if stand_in else {})
    common = {"dataset": dataset, "source": "drawn", "stand_in": stand_in}
    settings = {"beta": float(beta), "gamma": float(gamma), "seed": seed, "likelihood": likelihood}
    settings |= {"steps": 30, "network": "higgins", "latents": LATENTS}
    (folder / "metrics.json").write_text(json.dumps({**common, **settings, "splits": splits}))
    channels = 3 if dataset == "celeba" else 1
    record = {"settings": settings, "data": {**common, "channels": channels}}
    (folder / "training.json").write_text(json.dumps(record))
    lines = [f"{step},{900 / step + seed},{5 + step / 30}" for step in (10, 20, 30)]
    (folder / "history.csv").write_text("\n".join(["step,reconstruction_error,kl", *lines]) + "\n")
    return folder


@pytest.fixture
def folders(tmp_path):
    return [
        write_run(tmp_path, dataset, method, seed)
        for dataset in ("dsprites", "celeba")
        for method in METHODS
        for seed in (0, 1)
    ]


def files(folders, name):
    return [folder / name for folder in folders]


def bars(folders, quantity="reconstruction_error"):
    loaded = runs.load_runs(files(folders, "metrics.json"))
    return figures.bars_figure(loaded, METHODS, quantity, 0.95)


def test_bars_have_a_panel_a_data_set_celeba_first_and_marked(folders):
    celeba, sprites = bars(folders).axes
    assert celeba.get_title() == f"CelebA, test split\n— {figures.STAND_IN}"
    assert sprites.get_title() == "dSprites, all images"


def test_bars_show_means_seeds_and_the_papers_values(folders):
    celeba, sprites = bars(folders).axes
    heights = [bar.get_height() for bar in celeba.patches]
    assert heights == [fmean((210.0, 211.0)), *[fmean((240.0, 241.0))] * 2]
    assert [text.get_text() for text in celeba.get_xticklabels()] == list(METHODS)
    diamonds = [line.get_ydata()[0] for line in celeba.lines if line.get_marker() == "D"]
    assert diamonds == [227.243, 247.686, 230.867]
    assert not [line for line in sprites.lines if line.get_marker() == "D"]
    dots = [line for line in celeba.lines if line.get_marker() == "o"]
    assert [len(line.get_ydata()) for line in dots] == [2, 2, 2]


def test_bars_without_spread_have_no_error_bar(folders):
    single = [folder for folder in folders if folder.name.endswith("-0")]
    for axes in bars(single).axes:
        assert {type(container) for container in axes.containers} == {BarContainer}


def test_bars_name_a_missing_run(folders):
    lacking = [folder for folder in folders if "celeba-4-10" not in folder.name]
    with pytest.raises(UserError, match="CelebA with β = 4, γ = 10"):
        bars(lacking, "kl")


def test_curves_have_a_row_a_data_set_and_a_line_a_method(folders):
    figure = figures.curves_figure(files(folders, "history.csv"), METHODS)
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == list(METHODS)
        assert len(axes.collections) == len(METHODS)
    assert figures.STAND_IN in figure.axes[0].get_title()
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [90.5, 45.5, 30.5])


def test_curves_name_a_missing_run(folders):
    lacking = [folder for folder in folders if "dsprites-4-0" not in folder.name]
    with pytest.raises(UserError, match="history of dSprites with β = 4, γ = 0"):
        figures.curves_figure(files(lacking, "history.csv"), METHODS)


def make_traversal(folder, dataset, channels, *, stand_in):
    """Return an array and, a method each, a random model and its metrics."""
    images = np.random.default_rng(0).integers(0, 256, (4, channels, SIDE, SIDE), dtype=np.uint8)
    described = {"dataset": dataset, "stand_in": stand_in}
    array = write_array(folder / "images.npy", images, splits={"train": (0, 4)}, **described)
    models, metrics = {}, {}
    for seed, method in enumerate(METHODS):
        run = write_run(folder, dataset, method, 0)
        model = VariationalAutoencoder("higgins", channels, LATENTS)
        initialise(model, generator(seed, "model"))
        models[method], metrics[method] = run / "model.safetensors", run / "metrics.json"
        save_file(model.state_dict(), models[method])
        record = read_json(run / "training.json")
        write_json(run / "training.json", {**record, "weights": {"sha256": sha256(models[method])}})
    return array, models, metrics


def traversal(made, base_index=1):
    return traversals.traversals_figure(
        *made, base_index=base_index, values=torch.linspace(-3, 3, 10), device=torch.device("cpu")
    )


def test_traversal_has_rows_by_kl_and_red_and_green_frames(tmp_path):
    figure = traversal(make_traversal(tmp_path, "celeba", 3, stand_in=True))
    assert figure.get_suptitle() == f"CelebA — {figures.STAND_IN}"
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


def test_all_panels_start_from_the_same_real_image(tmp_path):
    made = make_traversal(tmp_path, "celeba", 3, stand_in=True)
    strips = [axes.images[0].get_array() for axes in traversal(made, 2).axes[:3]]
    gap = traversals.GAP
    left = (strips[0].shape[1] - (2 * (SIDE + gap) + gap)) // 2 + gap
    expected = np.load(made[0])[2].transpose(1, 2, 0)
    for sheet in strips:
        np.testing.assert_array_equal(sheet[gap : gap + SIDE, left : left + SIDE], expected)


def test_grey_images_stay_grey_and_real_ones_unmarked(tmp_path):
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


def test_a_base_image_outside_the_set_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no image 4"):
        traversal(make_traversal(tmp_path, "celeba", 3, stand_in=True), base_index=4)


def test_metrics_of_another_model_are_refused(tmp_path):
    array, models, metrics = make_traversal(tmp_path, "celeba", 3, stand_in=True)
    swapped = {**metrics, "VAE": metrics["β-VAE"]}
    with pytest.raises(UserError, match="give each model its own metrics"):
        traversal((array, models, swapped))


def test_figures_have_the_same_bytes_every_time(tmp_path, folders):
    made = make_traversal(tmp_path, "chairs3d", 1, stand_in=True)
    folders = [folder for folder in folders if "celeba" in folder.name]
    written = []
    for attempt in ("first", "second"):
        drawn = {
            name: [tmp_path / attempt / f"{name}.{ending}" for ending in ("png", "pdf")]
            for name in ("bars", "curves", "traversals")
        }
        metrics, histories = files(folders, "metrics.json"), files(folders, "history.csv")
        figures.bars(metrics, METHODS, "kl", 0.95, drawn["bars"])
        figures.training_curves(histories, METHODS, drawn["curves"])
        traversals.traversals(*made, drawn["traversals"], base_index=0, columns=2)
        written.append([path.read_bytes() for paths in drawn.values() for path in paths])
    assert written[0] == written[1]
    assert all(data[:4] in (b"\x89PNG", b"%PDF") for data in written[0])


def test_other_formats_are_refused(tmp_path, folders):
    with pytest.raises(UserError, match=r"figure\.svg"):
        figures.bars(files(folders, "metrics.json"), METHODS, "kl", 0.95, [tmp_path / "figure.svg"])
