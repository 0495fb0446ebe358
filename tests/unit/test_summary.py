"""The tables of scores and of image quality: tidy, and over seeds."""

import csv
from dataclasses import asdict, replace

import pytest
from run_files import STAND_IN, experiment
from run_files import write_quality as write_numbers
from run_files import write_scores as write_numbers_of_scores

from betagvae.errors import UserError
from betagvae.paper.quality_tables import FRECHET, NUMBERS, quality_tables
from betagvae.paper.score_tables import score_tables
from betagvae.settings.scores import ScoreSettings

METHODS = {"VAE": (1, 0), "β-VAE": (4, 0)}
SCORES = {"mig": 0.1, "explicitness": 0.7, "active_units": 4.0, "total_correlation": 1.5}


def write_scores(e, method, seed, /, *, shift=0.0, dataset="dsprites", images=737280, **sizes):
    scores = {name: value + shift for name, value in SCORES.items()}
    content = {"images": images, "settings": asdict(ScoreSettings(**sizes))}
    content |= {} if dataset == "dsprites" else STAND_IN
    return write_numbers_of_scores(e, dataset, method, seed, scores, **content)


def write_quality(e, method, features, value):
    numbers = dict.fromkeys((*FRECHET, *NUMBERS), value)
    changes = {"features": features, "images": 500, **STAND_IN}
    write_numbers(e, "celeba", method, 0, numbers, **changes)


@pytest.fixture
def sprites(tmp_path):
    """Two methods and a pair of Table 1."""
    e = experiment(tmp_path, METHODS, datasets=("dsprites",), pairs=[(2, 2)])
    write_scores(e, "VAE", 0)
    write_scores(e, "VAE", 1, shift=0.2)
    write_scores(e, "β-VAE", 0, shift=0.4)
    write_scores(e, "β-VAE", 1, shift=0.4)
    write_scores(e, (2, 2), 0)
    write_scores(e, (2, 2), 1)
    return e


def written(e, folder, level=0.5):
    outputs = [folder / f"scores.{ending}" for ending in ("csv", "md", "tex")]
    score_tables(e, level, outputs)
    return [path.read_text(encoding="utf-8") for path in outputs]


def rows(text):
    return list(csv.DictReader(text.splitlines()))


def test_tidy_table_has_a_row_a_run_and_score(sprites, tmp_path):
    found = rows(written(sprites, tmp_path)[0])
    assert len(found) == 6 * len(SCORES)
    shown = ("method", "beta", "gamma", "seed", "score", "value", "direction", "stand_in")
    assert tuple(found[0][name] for name in shown) == (
        *("VAE", "1.0", "0.0", "0", "mig", "0.1", "higher", "False"),
    )
    assert {row["direction"] for row in found if row["score"] == "active_units"} == {""}
    assert {row["direction"] for row in found if row["score"] == "total_correlation"} == {"lower"}
    assert {row["method"] for row in found if row["beta"] == "2.0"} == {""}


def test_summary_has_mean_interval_range_and_direction(sprites, tmp_path):
    markdown = written(sprites, tmp_path)[1]
    # Two seeds, 0.1 and 0.3: mean 0.2, standard error 0.1, t(0.75, 1) = 1.
    line = "| dSprites | MIG | 0 to 1 | higher | 737,280 | 2 | 0.200 ± 0.100 | **0.500 ± 0.000** |"
    assert line in markdown
    assert "| Explicitness | 0.5 to 1 | higher |" in markdown
    assert "| 0 or more | lower | 737,280 | 2 | **1.600 ± 0.100** | 1.900 ± 0.000 |" in markdown
    assert (
        "| Active units | 0 or more |  | 737,280 | 2 | 4.100 ± 0.100 | 4.400 ± 0.000 |" in markdown
    )
    assert "0.67" in markdown
    assert "The other pairs of Table 1" in markdown
    assert "Warning" not in markdown


def test_stand_ins_are_marked_everywhere(sprites, tmp_path):
    e = replace(sprites, shared={**sprites.shared, **experiment(tmp_path).shared})
    for method in METHODS:
        for seed in (0, 1):
            write_scores(e, method, seed, dataset="celeba")
    tidy, markdown, latex = written(e, tmp_path)
    assert markdown.startswith("**Warning: the numbers for CelebA are from drawn stand-in images")
    assert latex.index("\\textbf{Warning") < latex.index("\\caption")
    for row in rows(tidy):
        assert row["stand_in"] == str(row["dataset"] == "celeba")
        assert ("stand-in" in row["data"]) == (row["dataset"] == "celeba")
    assert markdown.count("CelebA stand-in (drawn)") == len(SCORES)


def test_one_seed_has_no_interval(sprites, tmp_path):
    markdown = written(replace(sprites, seeds=(0,)), tmp_path)[1]
    assert "| 1 | 0.100 ± – | **0.500 ± –** |" in markdown


def test_scores_that_are_missing_are_named(tmp_path, sprites):
    e = experiment(tmp_path, {**METHODS, "β-GVAE": (4, 10)}, datasets=("dsprites",))
    with pytest.raises(UserError, match=r"dsprites/beta4_gamma10/seed0/scores\.json"):
        written(e, tmp_path)


def test_runs_scored_on_unequally_many_images_do_not_mix(sprites, tmp_path):
    write_scores(sprites, "β-VAE", 1, images=500)
    with pytest.raises(UserError, match="500 images, others on 737,280"):
        written(sprites, tmp_path)


def test_sizes_that_are_not_the_protocol_s_are_told(sprites, tmp_path):
    assert "Not the field's protocol" not in written(sprites, tmp_path)[1]
    e = replace(sprites.without_table1(), seeds=(0,))
    for method in METHODS:
        write_scores(e, method, 0, mig_points=3000, dci_trees=10, seed=3)
    told = "Not the field's protocol: mig_points 3,000 for 10,000, dci_trees 10 for 50."
    assert told in written(e, tmp_path)[1]


@pytest.mark.parametrize("sizes", [{"mig_points": 3000}, {"seed": 1}])
def test_runs_scored_with_other_sizes_do_not_mix(sprites, tmp_path, sizes):
    write_scores(sprites, "β-VAE", 1, **sizes)
    with pytest.raises(UserError, match="were scored with other sizes"):
        written(sprites, tmp_path)


def test_damaged_scores_name_the_file(sprites, tmp_path):
    write_scores(sprites, "VAE", 0).write_text('{"dataset": "dsprites"}')
    with pytest.raises(UserError, match=r"seed0/scores\.json lacks 'training'"):
        written(sprites, tmp_path)


def test_latex_has_as_many_cells_in_every_line(sprites, tmp_path):
    latex = written(sprites, tmp_path)[2]
    lines = [line for line in latex.splitlines() if line.endswith(" \\\\")]
    assert {line.replace("\\&", "").count("&") for line in lines} == {7}
    assert latex.isascii()


def test_columns_and_rows_have_the_configurations_order(sprites, tmp_path):
    methods = dict(reversed(sprites.methods.items()))
    tidy, markdown, _ = written(replace(sprites, methods=methods, seeds=(1, 0)), tmp_path)
    assert "| β-VAE (β = 4, γ = 0) | VAE (β = 1, γ = 0) |" in markdown
    found = [(row["beta"], row["seed"]) for row in rows(tidy) if row["score"] == "mig"]
    assert found == [(beta, seed) for beta in ("4.0", "1.0", "2.0") for seed in ("1", "0")]


def test_same_bytes_every_time(sprites, tmp_path):
    assert written(sprites, tmp_path) == written(sprites, tmp_path)


def written_quality(e, folder):
    outputs = [folder / f"quality.{ending}" for ending in ("csv", "md", "tex")]
    quality_tables(e, 0.5, outputs)
    return [path.read_text(encoding="utf-8") for path in outputs]


@pytest.fixture
def celeba(tmp_path):
    return experiment(tmp_path, METHODS, seeds=(0,))


@pytest.mark.parametrize("features", ["inception_v3", "efficientnet_lite0"])
def test_a_distance_carries_the_name_of_its_network(tmp_path, celeba, features):
    write_quality(celeba, "VAE", features, 0.25)
    write_quality(celeba, "β-VAE", features, 0.5)
    tidy, markdown, latex = written_quality(celeba, tmp_path)
    assert [row["score"] for row in rows(tidy)[:3]] == [
        f"frechet_reconstruction_{features}",
        f"frechet_sample_{features}",
        "ssim_reconstruction",
    ]
    line = f"| Fréchet distance of samples ({features}) | 0 or more | lower | 500 | 1 |"
    assert f"{line} **0.250 ± –** | 0.500 ± – |" in markdown
    assert "| -1 to 1 | higher | 500 | 1 | 0.250 ± – | **0.500 ± –** |" in markdown
    assert ("is not FID" in markdown) == (features == "efficientnet_lite0")
    assert markdown.startswith("**Warning: the numbers for CelebA are from drawn stand-in images")
    assert r"Fr\'echet" in latex
    assert latex.isascii()


def test_the_sharpness_nearest_to_the_data_s_is_best(tmp_path, celeba):
    write_quality(celeba, "VAE", "inception_v3", 0.75)
    write_quality(celeba, "β-VAE", "inception_v3", 30.5)
    markdown = written_quality(celeba, tmp_path)[1]
    line = "| Sharpness of samples | 0 or more | near 1 | 500 | 1 | **0.750 ± –** | 30.500 ± – |"
    assert line in markdown


def test_distances_by_two_networks_do_not_mix(tmp_path, celeba):
    write_quality(celeba, "VAE", "inception_v3", 0.25)
    write_quality(celeba, "β-VAE", "efficientnet_lite0", 0.25)
    with pytest.raises(UserError, match="efficientnet_lite0 and inception_v3, which cannot"):
        written_quality(celeba, tmp_path)
