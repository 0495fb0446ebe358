"""The rate–distortion figure: every run a point, lines of slope −β, the paper's points."""

import pytest
from run_files import METHODS, STAND_IN, experiment, write_metrics

from betagvae.errors import UserError
from betagvae.paper import pictures
from betagvae.paper import reported as paper
from betagvae.paper.rate_distortion import rate_distortion, rate_distortion_figure
from betagvae.results.runs import load_runs

PAIRS = [(1, 0), (4, 0), (4, 10), (4, 15), (4, 20)]
"""Those of the methods, and two of Table 1 alone."""


def runs(folder, datasets=("celeba",), changes=None, **shared):
    """Write metrics of all pairs on each data set; return the experiment."""
    e = experiment(folder, datasets=datasets, pairs=PAIRS[2:], **shared)
    for dataset in datasets:
        for beta, gamma in PAIRS if dataset == e.swept else PAIRS[:3]:
            for seed in (0, 1):
                error, kl = 230.0 + beta + seed, 20.0 - beta
                write_metrics(e, dataset, (beta, gamma), seed, error, kl, **(changes or {}))
    return e


def panels(e):
    return rate_distortion_figure(load_runs(e)).axes


def points(axes, marker):
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return {tuple(point) for line in lines for point in line.get_xydata()}


def test_every_run_is_a_point_in_the_panel_of_its_data_set(tmp_path):
    _, celeba = panels(runs(tmp_path))[:2]
    expected = {(20.0 - beta, 230.0 + beta + seed) for beta, _ in PAIRS for seed in (0, 1)}
    assert points(celeba, "o") == expected
    assert celeba.get_title() == "CelebA, our runs, test split"


def test_the_papers_points_have_a_panel_and_stand_beside_ours(tmp_path):
    printed, celeba = panels(runs(tmp_path))[:2]
    rows = {(row.kl, row.reconstruction_error) for row in (*paper.TABLE_1, *paper.TABLE_2)}
    assert points(printed, "D") == rows
    assert points(celeba, "D") == rows


@pytest.mark.parametrize("different", [{"changes": STAND_IN}, {"likelihood": "bernoulli"}])
def test_the_papers_points_do_not_stand_beside_what_they_cannot_be_compared_with(
    tmp_path, different
):
    celeba = panels(runs(tmp_path, **different))[1]
    assert not points(celeba, "D")
    assert (pictures.STAND_IN in celeba.get_title()) == ("changes" in different)


def test_lines_have_slope_minus_beta_and_go_through_the_mean(tmp_path):
    for axes in panels(runs(tmp_path))[:2]:
        lines = [line for line in axes.lines if hasattr(line, "get_slope")]
        found = {line.get_color(): (line.get_slope(), line.get_linestyle()) for line in lines}
        assert found == dict(
            zip(pictures.COLOURS, [(-1, "-"), (-4, "-"), (-4, "--")], strict=False)
        )
    assert lines[1].get_xy1() == (16.0, 234.5)


def test_points_on_each_other_share_their_name(tmp_path):
    printed, celeba = panels(runs(tmp_path))[:2]
    assert "(4, 4) (4, 15) (4, 20)" in [text.get_text() for text in printed.texts]
    assert [text.get_text() for text in celeba.texts] == ["(4, 15) (4, 20)"]


def test_a_diverged_run_is_counted_not_drawn(tmp_path):
    e = runs(tmp_path)
    write_metrics(e, "celeba", (1, 0), 0, float("nan"), 1.0)
    celeba = panels(e)[1]
    assert celeba.get_title() == "CelebA, our runs, test split, 1 diverged left out"
    only = experiment(tmp_path, {"VAE": (1, 0)}, seeds=(0,))
    with pytest.raises(UserError, match="diverged"):
        panels(only)


def test_data_sets_have_the_configurations_order(tmp_path):
    for datasets in (("celeba", "dsprites"), ("dsprites", "celeba")):
        titles = [axes.get_title() for axes in panels(runs(tmp_path, datasets))[1:3]]
        names = {
            "celeba": "CelebA, our runs, test split",
            "dsprites": "dSprites, our runs, all images",
        }
        assert titles == [names[dataset] for dataset in datasets]


def test_the_legend_has_the_methods_in_order_and_every_setting_of_theirs(tmp_path):
    methods = {**METHODS, "TC": {"beta": 1, "tc_weighted_sampling": 3}}
    e = experiment(tmp_path, methods, seeds=(0,))
    for name, row in methods.items():
        write_metrics(e, "celeba", name, 0, 230.0, 20.0 - row["beta"])
    figure = rate_distortion_figure(load_runs(e))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "VAE (1, 0)",
        "β-VAE (4, 0)",
        "β-GVAE (4, 10)",
        "TC (1, 0, tc_weighted_sampling = 3)",
        "other (β, γ)",
        "the paper's value",
    ]
    lines = [line for line in figure.axes[1].lines if hasattr(line, "get_slope")]
    assert [line.get_linestyle() for line in lines] == ["-", "-", "--", "--"]


def test_an_axis_names_the_units_of_all_its_runs(tmp_path):
    methods = {"A": {"beta": 1}, "B": {"beta": 1, "likelihood": "bernoulli"}}
    e = experiment(tmp_path, methods, seeds=(0,))
    for name, error in (("A", 230.0), ("B", 6500.0)):
        write_metrics(e, "celeba", name, 0, error, 20.0)
    label = panels(e)[1].get_ylabel()
    assert label == "Reconstruction error an image (squared error or nats)"


def test_the_figure_has_the_same_bytes_every_time(tmp_path):
    e = runs(tmp_path, ("celeba", "dsprites"))
    written = []
    for name in ("one", "two"):
        outputs = [tmp_path / f"{name}.png", tmp_path / f"{name}.pdf"]
        rate_distortion(e, outputs)
        written.append([path.read_bytes() for path in outputs])
    assert written[0] == written[1]
