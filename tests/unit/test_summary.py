"""The tables of scores and of image quality: tidy, and over seeds."""

import csv
import json
from dataclasses import asdict

import pytest

from betagvae.errors import UserError
from betagvae.evaluation.scores import ScoreSizes
from betagvae.paper.quality_tables import FRECHET, NUMBERS, quality_tables
from betagvae.paper.score_tables import score_tables

METHODS = {"VAE": (1, 0), "β-VAE": (4, 0)}
SCORES = {"mig": 0.1, "explicitness": 0.7, "active_units": 4.0, "total_correlation": 1.5}


def write_result(folder, beta, gamma, seed, dataset, **content):
    content = {
        "dataset": dataset,
        "source": "drawn",
        "stand_in": dataset != "dsprites",
        "likelihood": "bernoulli",
        "beta": float(beta),
        "gamma": float(gamma),
        "seed": seed,
        "steps": 1000,
        **content,
    }
    path = folder / f"{dataset}-{beta:g}-{gamma:g}-{seed}.json"
    path.write_text(json.dumps(content))
    return path


def write_scores(folder, beta, gamma, seed, shift=0.0, dataset="dsprites", images=737280, **sizes):
    scores = {name: value + shift for name, value in SCORES.items()}
    settings = {"seed": 0, **asdict(ScoreSizes(**sizes))}
    content = {"images": images, "scores": scores, "settings": settings}
    return write_result(folder, beta, gamma, seed, dataset, **content)


def write_quality(folder, beta, gamma, seed, features, value):
    numbers = dict.fromkeys((*FRECHET, *NUMBERS), value)
    return write_result(
        folder, beta, gamma, seed, "celeba", images=500, features=features, split="test", **numbers
    )


@pytest.fixture
def sprites(tmp_path):
    return [
        write_scores(tmp_path, 1, 0, 0),
        write_scores(tmp_path, 1, 0, 1, shift=0.2),
        write_scores(tmp_path, 4, 0, 0, shift=0.4),
        write_scores(tmp_path, 4, 0, 1, shift=0.4),
        write_scores(tmp_path, 2, 2, 0),
    ]


def written(paths, folder, level=0.5):
    outputs = [folder / f"scores.{ending}" for ending in ("csv", "md", "tex")]
    score_tables(paths, METHODS, level, outputs)
    return [path.read_text(encoding="utf-8") for path in outputs]


def rows(text):
    return list(csv.DictReader(text.splitlines()))


def test_tidy_table_has_a_row_a_run_and_score(sprites, tmp_path):
    found = rows(written(sprites, tmp_path)[0])
    assert len(found) == len(sprites) * len(SCORES)
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
    stand_ins = [
        write_scores(tmp_path, *weights, 0, dataset="celeba") for weights in METHODS.values()
    ]
    tidy, markdown, latex = written([*sprites, *stand_ins], tmp_path)
    assert markdown.startswith("**Warning: the numbers for CelebA are from drawn stand-in images")
    assert latex.index("\\textbf{Warning") < latex.index("\\caption")
    for row in rows(tidy):
        assert row["stand_in"] == str(row["dataset"] == "celeba")
        assert ("stand-in" in row["data"]) == (row["dataset"] == "celeba")
    assert markdown.count("CelebA stand-in (drawn)") == len(SCORES)


def test_one_seed_has_no_interval(tmp_path):
    paths = [write_scores(tmp_path, *weights, 0) for weights in METHODS.values()]
    assert "| 1 | 0.100 ± – | 0.100 ± – |" in written(paths, tmp_path)[1]


def test_unequal_numbers_of_seeds_are_shown(sprites, tmp_path):
    assert "| 737,280 | 1–2 |" in written(sprites[:3], tmp_path)[1]


def test_a_method_without_scores_is_named(sprites, tmp_path):
    with pytest.raises(UserError, match="no scores of dSprites with β = 4, γ = 0"):
        written(sprites[:2], tmp_path)


def test_runs_scored_on_unequally_many_images_do_not_mix(sprites, tmp_path):
    fewer = write_scores(tmp_path, 4, 0, 2, images=500)
    with pytest.raises(UserError, match="500 images, others on 737,280"):
        written([*sprites, fewer], tmp_path)


def test_sizes_that_are_not_the_protocol_s_are_told(sprites, tmp_path):
    assert "Not the field's protocol" not in written(sprites, tmp_path)[1]
    smaller = {"mig_points": 3000, "dci_trees": 10}
    paths = [write_scores(tmp_path, *weights, 0, **smaller) for weights in METHODS.values()]
    told = "Not the field's protocol: mig_points 3,000 for 10,000, dci_trees 10 for 50."
    assert told in written(paths, tmp_path)[1]


def test_runs_scored_with_other_sizes_do_not_mix(sprites, tmp_path):
    other = write_scores(tmp_path, 4, 0, 2, mig_points=3000)
    with pytest.raises(UserError, match="were scored with other sizes"):
        written([*sprites, other], tmp_path)


def test_damaged_scores_name_the_file(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text('{"dataset": "dsprites"}')
    with pytest.raises(UserError, match=r"scores\.json lacks 'source'"):
        written([path], tmp_path)


def test_latex_has_as_many_cells_in_every_line(sprites, tmp_path):
    latex = written(sprites, tmp_path)[2]
    lines = [line for line in latex.splitlines() if line.endswith(" \\\\")]
    assert {line.replace("\\&", "").count("&") for line in lines} == {7}
    assert latex.isascii()


def test_same_bytes_whatever_the_order_of_files(sprites, tmp_path):
    assert written(sprites[::-1], tmp_path) == written(sprites, tmp_path)


def written_quality(paths, folder):
    outputs = [folder / f"quality.{ending}" for ending in ("csv", "md", "tex")]
    quality_tables(paths, METHODS, 0.5, outputs)
    return [path.read_text(encoding="utf-8") for path in outputs]


@pytest.mark.parametrize("features", ["inception_v3", "efficientnet_lite0"])
def test_a_distance_carries_the_name_of_its_network(tmp_path, features):
    paths = [write_quality(tmp_path, 1, 0, 0, features, 0.25)]
    paths.append(write_quality(tmp_path, 4, 0, 0, features, 0.5))
    tidy, markdown, latex = written_quality(paths, tmp_path)
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


def test_the_sharpness_nearest_to_the_data_s_is_best(tmp_path):
    paths = [write_quality(tmp_path, 1, 0, 0, "inception_v3", 0.75)]
    paths.append(write_quality(tmp_path, 4, 0, 0, "inception_v3", 30.5))
    markdown = written_quality(paths, tmp_path)[1]
    line = "| Sharpness of samples | 0 or more | near 1 | 500 | 1 | **0.750 ± –** | 30.500 ± – |"
    assert line in markdown


def test_distances_by_two_networks_do_not_mix(tmp_path):
    paths = [
        write_quality(tmp_path, 1, 0, 0, "inception_v3", 0.25),
        write_quality(tmp_path, 4, 0, 0, "efficientnet_lite0", 0.25),
    ]
    with pytest.raises(UserError, match="efficientnet_lite0 and inception_v3, which cannot"):
        written_quality(paths, tmp_path)
