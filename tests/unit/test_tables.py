"""Tables 1 and 2: intervals by hand, bold, marks of a stand-in, and what is written."""

import csv
import json
import math

import pytest

from betagvae.errors import UserError
from betagvae.paper import reported as paper
from betagvae.paper import tables_1_2 as tables
from betagvae.results import runs

METHODS = {"VAE": (1, 0), "β-VAE": (4, 0)}
MARK = "CelebA stand-in (drawn)"


def write_metrics(folder, beta, gamma, seed, error, kl, dataset="celeba", **changes):
    """Write a metrics file whose train split is 10 worse in error than its test split."""
    splits = {
        name: {
            "images": images,
            "reconstruction_error": error + shift,
            "kl": kl,
            "kl_per_latent": [kl, 0.0],
        }
        for name, images, shift in (("train", 162770, 10), ("test", 19962, 0))
    }
    if dataset == "dsprites":
        del splits["test"]
    content = {
        "dataset": dataset,
        "source": "drawn",
        "stand_in": dataset != "dsprites",
        "likelihood": "bernoulli" if dataset == "dsprites" else "squared_error",
        "beta": float(beta),
        "gamma": float(gamma),
        "seed": seed,
        "steps": 1000,
        "splits": splits,
        **changes,
    }
    path = folder / f"{dataset}-{beta:g}-{gamma:g}-{seed}.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def celeba(tmp_path):
    return [
        write_metrics(tmp_path, 1, 0, 0, 220.0, 24.0),
        write_metrics(tmp_path, 1, 0, 1, 224.0, 26.0),
        write_metrics(tmp_path, 4, 0, 0, 250.0, 16.0),
    ]


def written(rows, folder, caption="Methods compared."):
    paths = [folder / f"table.{ending}" for ending in ("csv", "md", "tex")]
    tables.write_table(rows, *paths, caption)
    return [path.read_text(encoding="utf-8") for path in paths]


def test_interval_of_three_values_by_hand():
    # Mean 2, standard deviation 1; t(0.975, 2) = 4.302653.
    half = 4.302653 / math.sqrt(3)
    found = runs.interval([1.0, 2.0, 3.0], 0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half), rel=1e-6)


def test_interval_follows_the_level():
    # Two values 0 and 2: standard error 1; t(0.75, 1) = tan(π/4) = 1.
    found = runs.interval([0.0, 2.0], 0.5)
    assert (found.low, found.high) == pytest.approx((0, 2))


def test_one_seed_has_no_interval():
    assert runs.interval([5.0], 0.95) == runs.Interval(5.0, None, None)


def test_paper_agrees_with_itself():
    (shared,) = set(paper.TABLE_1) & set(paper.TABLE_2)
    assert (shared.beta, shared.gamma) == (4, 10)
    assert min(row.reconstruction_error for row in paper.TABLE_2) == 227.243
    assert min(row.kl for row in paper.TABLE_1) == 16.073
    assert paper.reported("dsprites", 4, 10) is None


def test_table2_has_test_split_first_and_the_papers_values(celeba):
    rows = tables.table2(celeba, METHODS, 0.95)
    assert [(row.split, row.method, row.seeds) for row in rows] == [
        ("test", "VAE", 2),
        ("test", "β-VAE", 1),
        ("train", "VAE", 2),
        ("train", "β-VAE", 1),
    ]
    assert [row.reconstruction_error_mean for row in rows] == [222, 250, 232, 260]
    assert rows[0].paper_reconstruction_error == 227.243
    assert rows[1].paper_kl == 16.528


def test_celeba_comes_first_and_dsprites_holds_nothing_out(tmp_path, celeba):
    sprites = [
        write_metrics(tmp_path, *weights, 0, 30.0, 15.0, "dsprites") for weights in METHODS.values()
    ]
    rows = tables.table2([*sprites, *celeba], METHODS, 0.95)
    assert [row.data for row in rows] == [MARK] * 4 + ["dSprites"] * 2
    assert {row.split for row in rows if row.dataset == "dsprites"} == {"all images"}
    assert rows[-1].paper_kl is None
    notice = runs.stand_in_warning(rows)
    assert "CelebA" in notice
    assert "dSprites" not in notice


def test_table1_takes_the_pairs_in_order_and_celeba_only(tmp_path):
    pairs = [(2, 2), (4, 10)]
    paths = [write_metrics(tmp_path, *pair, 0, 230.0, 17.0) for pair in pairs]
    paths.append(write_metrics(tmp_path, 2, 2, 0, 1.0, 1.0, "dsprites"))
    rows = tables.table1(paths, pairs, 0.95)
    assert [(row.beta, row.gamma) for row in rows] == [*pairs, *pairs]
    assert rows[0].paper_reconstruction_error == 228.511
    assert "| Method |" not in written(rows, tmp_path)[1]


def test_best_is_lowest_of_its_split(celeba):
    rows = tables.table2(celeba, METHODS, 0.95)
    best = [tables.is_best(rows, row, "reconstruction_error_mean") for row in rows]
    assert best == [True, False, True, False]
    assert [tables.is_best(rows, row, "kl_mean") for row in rows] == [False, True, False, True]


def test_missing_run_is_named(celeba):
    with pytest.raises(UserError, match="CelebA with β = 4, γ = 10"):
        tables.table2(celeba, {**METHODS, "β-GVAE": (4, 10)}, 0.95)


def test_same_run_twice_is_an_error(celeba, tmp_path):
    copy = tmp_path / "copy.json"
    copy.write_text(celeba[0].read_text())
    with pytest.raises(UserError, match="the same run"):
        tables.table2([*celeba, copy], METHODS, 0.95)


def test_real_and_stand_in_images_do_not_mix(celeba, tmp_path):
    other = write_metrics(tmp_path, 4, 0, 1, 1.0, 1.0, stand_in=False, source="original")
    with pytest.raises(UserError, match="cannot be compared"):
        tables.table2([*celeba, other], METHODS, 0.95)


def test_damaged_metrics_name_the_file(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"splits": {}}')
    with pytest.raises(UserError, match=r"metrics\.json lacks 'dataset'"):
        tables.table2([path], METHODS, 0.95)


def test_stand_in_is_marked_in_every_row_of_every_format(celeba, tmp_path):
    rows = tables.table2(celeba, METHODS, 0.95)
    for text in written(rows, tmp_path):
        assert text.count(MARK) >= len(rows)
    _, markdown, latex = written(rows, tmp_path)
    assert markdown.startswith("**Warning: the numbers for CelebA are from drawn stand-in images")
    assert latex.index("\\textbf{Warning") < latex.index("\\caption")


def test_real_images_carry_no_mark(tmp_path):
    paths = [
        write_metrics(tmp_path, *weights, 0, 230.0, 20.0, stand_in=False, source="original")
        for weights in METHODS.values()
    ]
    for text in written(tables.table2(paths, METHODS, 0.95), tmp_path):
        assert "stand-in" not in text


def test_csv_keeps_every_digit_and_leaves_gaps_empty(celeba, tmp_path):
    text = written(tables.table2(celeba, METHODS, 0.95), tmp_path)[0]
    vae, beta_vae, *_ = csv.DictReader(text.splitlines())
    # t(0.975, 1) = 12.706205; standard error of 220 and 224 is 2.
    assert float(vae["reconstruction_error_high"]) == pytest.approx(222 + 2 * 12.706205, rel=1e-7)
    assert beta_vae["kl_low"] == ""
    assert vae["stand_in"] == "True"


GOLDEN = """\
Methods.

| Data | Split | Images | Method | β | γ | Seeds | Reconstruction error | KL divergence | \
Paper: reconstruction error | Paper: KL divergence |
| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| dSprites | all images | 162,770 | VAE | 1 | 0 | 2 | **31.000 ± 1.000** | 25.000 ± 0.000 |  |  |
| dSprites | all images | 162,770 | β-VAE | 4 | 0 | 1 | 45.000 ± – | **15.000 ± –** |  |  |

Reconstruction error (dSprites: Bernoulli, nats summed over pixels) and KL divergence (nats) an \
image; mean over seeds ± half of the 50 % interval (Student's t; – with one seed). Images: \
how many of the split were evaluated. Bold: lowest on the split, and lowest of the paper's \
values. The paper does not say which split its values are from, nor what they vary by.
"""


def test_golden_markdown(tmp_path):
    paths = [
        write_metrics(tmp_path, 1, 0, 0, 20.0, 25.0, "dsprites"),
        write_metrics(tmp_path, 1, 0, 1, 22.0, 25.0, "dsprites"),
        write_metrics(tmp_path, 4, 0, 0, 35.0, 15.0, "dsprites"),
    ]
    assert written(tables.table2(paths, METHODS, 0.5), tmp_path, "Methods.")[1] == GOLDEN


def test_latex_is_escaped_and_balanced(celeba, tmp_path):
    rows = tables.table2(celeba, METHODS, 0.95)
    latex = written(rows, tmp_path, "50 % of A & B_1")[2]
    assert "\\caption{50 \\% of A \\& B\\_1}" in latex
    assert "$\\beta$-VAE" in latex
    assert "\\textbf{222.000 $\\pm$ 25.412}" in latex
    assert latex.count("{") - latex.count("\\{") == latex.count("}") - latex.count("\\}")
    assert latex.isascii()
    lines = [line for line in latex.splitlines() if line.endswith(" \\\\")]
    assert {line.replace("\\&", "").count("&") for line in lines} == {10}


def test_same_bytes_whatever_the_order_of_files(celeba, tmp_path):
    first = written(tables.table2(celeba, METHODS, 0.95), tmp_path)
    assert written(tables.table2(celeba[::-1], METHODS, 0.95), tmp_path) == first
