"""The rate–distortion figure: every run a point, lines of slope −β, the paper's points."""

import pytest
from run_files import STAND_IN, write_metrics

from betagvae.errors import UserError
from betagvae.paper import figures_4_5 as figures
from betagvae.paper import reported as paper
from betagvae.paper.rate_distortion import rate_distortion, rate_distortion_figure
from betagvae.results.runs import load_runs

METHODS = {"VAE": (1, 0), "β-VAE": (4, 0), "β-GVAE": (4, 10)}
PAIRS = [*METHODS.values(), (4, 15), (4, 20)]


def paths(folder, dataset="celeba", **changes):
    return [
        write_metrics(
            folder, dataset, (beta, gamma), seed, 230 + beta + seed, 20.0 - beta, **changes
        )
        for beta, gamma in PAIRS
        for seed in (0, 1)
    ]


def panels(files):
    return rate_distortion_figure(load_runs(files), METHODS).axes


def points(axes, marker):
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return {tuple(point) for line in lines for point in line.get_xydata()}


def test_every_run_is_a_point_in_the_panel_of_its_data_set(tmp_path):
    _, celeba = panels(paths(tmp_path))[:2]
    expected = {(20.0 - beta, 230.0 + beta + seed) for beta, _ in PAIRS for seed in (0, 1)}
    assert points(celeba, "o") == expected
    assert celeba.get_title() == "CelebA, our runs, test split"


def test_the_papers_points_have_a_panel_and_stand_beside_ours(tmp_path):
    printed, celeba = panels(paths(tmp_path))[:2]
    rows = {(row.kl, row.reconstruction_error) for row in (*paper.TABLE_1, *paper.TABLE_2)}
    assert points(printed, "D") == rows
    assert points(celeba, "D") == rows


@pytest.mark.parametrize("changes", [STAND_IN, {"likelihood": "bernoulli"}])
def test_the_papers_points_do_not_stand_beside_what_they_cannot_be_compared_with(tmp_path, changes):
    celeba = panels(paths(tmp_path, **changes))[1]
    assert not points(celeba, "D")
    assert (figures.STAND_IN in celeba.get_title()) == ("stand_in" in changes)


def test_lines_have_slope_minus_beta_and_go_through_the_mean(tmp_path):
    for axes in panels(paths(tmp_path))[:2]:
        lines = [line for line in axes.lines if hasattr(line, "get_slope")]
        assert [line.get_slope() for line in lines] == [-1, -4, -4]
        assert [line.get_linestyle() for line in lines] == ["-", "-", "--"]
    assert lines[1].get_xy1() == (16.0, 234.5)


def test_points_on_each_other_share_their_name(tmp_path):
    printed, celeba = panels(paths(tmp_path))[:2]
    assert "(4, 4) (4, 15) (4, 20)" in [text.get_text() for text in printed.texts]
    assert [text.get_text() for text in celeba.texts] == ["(4, 15) (4, 20)"]


def test_a_diverged_run_is_counted_not_drawn(tmp_path):
    files = paths(tmp_path)[1:]
    files.append(write_metrics(tmp_path, "celeba", (1, 0), 0, float("nan"), 1.0))
    celeba = panels(files)[1]
    assert celeba.get_title() == "CelebA, our runs, test split, 1 diverged left out"
    with pytest.raises(UserError, match="diverged"):
        panels(files[-1:])


def test_the_figure_has_the_same_bytes_every_time(tmp_path):
    files = paths(tmp_path) + paths(tmp_path, "dsprites")
    written = []
    for name, order in (("one", 1), ("two", -1)):
        outputs = [tmp_path / f"{name}.png", tmp_path / f"{name}.pdf"]
        rate_distortion(files[::order], METHODS, outputs)
        written.append([path.read_bytes() for path in outputs])
    assert written[0] == written[1]
