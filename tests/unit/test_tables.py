"""Tables 1 and 2: intervals by hand, bold, marks of a stand-in, and what is written."""

import csv
import json
import math
from dataclasses import replace

import pytest
from run_files import STAND_IN, experiment, write_metrics

from betagvae.errors import UserError
from betagvae.paper import reported as paper
from betagvae.paper import tables_1_2 as tables
from betagvae.results.intervals import Interval, interval
from betagvae.results.labels import stand_in_warning
from betagvae.settings.training import TrainingSettings

METHODS = {"VAE": (1, 0), "β-VAE": (4, 0)}
MARK = "CelebA stand-in (drawn)"


def write_celeba(e, **changes):
    write_metrics(e, "celeba", "VAE", 0, 220.0, 24.0, **changes)
    write_metrics(e, "celeba", "VAE", 1, 224.0, 26.0, **changes)
    write_metrics(e, "celeba", "β-VAE", 0, 250.0, 16.0, **changes)
    write_metrics(e, "celeba", "β-VAE", 1, 250.0, 16.0, **changes)


@pytest.fixture
def celeba(tmp_path):
    """Methods on stand-ins."""
    e = experiment(tmp_path, METHODS)
    write_celeba(e, **STAND_IN)
    return e


def written(rows, folder, caption="Methods compared."):
    paths = [folder / f"table.{ending}" for ending in ("csv", "md", "tex")]
    tables.write_table(rows, *paths, caption)
    return [path.read_text(encoding="utf-8") for path in paths]


def test_interval_of_three_values_by_hand():
    # Mean 2, standard deviation 1; t(0.975, 2) = 4.302653.
    half = 4.302653 / math.sqrt(3)
    found = interval([1.0, 2.0, 3.0], 0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half), rel=1e-6)


def test_interval_follows_the_level():
    # Two values 0 and 2: standard error 1; t(0.75, 1) = tan(π/4) = 1.
    found = interval([0.0, 2.0], 0.5)
    assert (found.low, found.high) == pytest.approx((0, 2))


def test_one_seed_has_no_interval():
    assert interval([5.0], 0.95) == Interval(5.0, None, None)


def test_paper_agrees_with_itself():
    (shared,) = set(paper.TABLE_1) & set(paper.TABLE_2)
    assert (shared.beta, shared.gamma) == (4, 10)
    assert min(row.reconstruction_error for row in paper.TABLE_2) == 227.243
    assert min(row.kl for row in paper.TABLE_1) == 16.073


def test_the_paper_s_values_stand_beside_its_data_and_weights_whatever_the_reward():
    settings = TrainingSettings(beta=4, gamma=10, seed=0, likelihood="squared_error")
    shared = paper.reported("celeba", settings)
    assert (shared.reconstruction_error, shared.kl) == (230.867, 16.235)
    assert paper.reported("celeba", replace(settings, reward="logit")) == shared
    assert paper.reported("celeba", replace(settings, tc_weighted_sampling=1.0)) is None
    assert paper.reported("celeba", replace(settings, gamma=11.0)) is None
    assert paper.reported("dsprites", settings) is None


def test_table2_has_test_split_first_and_the_papers_values(celeba):
    rows = tables.table2(celeba, 0.95)
    assert [(row.split, row.method, row.seeds) for row in rows] == [
        ("test", "VAE", 2),
        ("test", "β-VAE", 2),
        ("train", "VAE", 2),
        ("train", "β-VAE", 2),
    ]
    assert [row.reconstruction_error_mean for row in rows] == [222, 250, 232, 260]
    assert rows[0].paper_reconstruction_error == 227.243
    assert rows[1].paper_kl == 16.528


def test_data_sets_and_methods_have_the_configurations_order(tmp_path):
    for datasets in (("celeba", "dsprites"), ("dsprites", "celeba")):
        for names in (("VAE", "β-VAE"), ("β-VAE", "VAE")):
            methods = {name: METHODS[name] for name in names}
            e = experiment(tmp_path, methods, datasets=datasets)
            write_celeba(e)
            for name in METHODS:
                for seed in (0, 1):
                    write_metrics(e, "dsprites", name, seed, 30.0, 15.0)
            rows = tables.table2(e, 0.95)
            assert list(dict.fromkeys(row.dataset for row in rows)) == list(datasets)
            assert [row.method for row in rows] == list(names) * 3


def test_dsprites_holds_nothing_out_and_is_no_stand_in(tmp_path):
    e = experiment(tmp_path, METHODS, datasets=("celeba", "dsprites"), seeds=(0,))
    for name in METHODS:
        write_metrics(e, "celeba", name, 0, 230.0, 20.0, **STAND_IN)
        write_metrics(e, "dsprites", name, 0, 30.0, 15.0)
    rows = tables.table2(e, 0.95)
    assert [row.data for row in rows] == [MARK] * 4 + ["dSprites"] * 2
    assert {row.split for row in rows if row.dataset == "dsprites"} == {"all images"}
    assert rows[-1].paper_kl is None
    notice = stand_in_warning(rows)
    assert "CelebA" in notice
    assert "dSprites" not in notice


def test_table1_takes_the_pairs_in_order_and_its_data_set_only(tmp_path):
    pairs = [(4, 10), (2, 2)]
    e = experiment(tmp_path, METHODS, datasets=("celeba", "dsprites"), seeds=(0,), pairs=pairs)
    for pair in pairs:
        write_metrics(e, "celeba", pair, 0, 230.0, 17.0)
    rows = tables.table1(e, 0.95)
    assert [(row.beta, row.gamma) for row in rows] == [*pairs, *pairs]
    assert {row.dataset for row in rows} == {"celeba"}
    assert rows[1].paper_reconstruction_error == 228.511
    assert "| Method |" not in written(rows, tmp_path)[1]


def test_table1_without_pairs_says_what_to_set(celeba):
    with pytest.raises(UserError, match="name its data set and pairs under table1"):
        tables.table1(celeba, 0.95)


def test_best_is_lowest_of_its_split(celeba):
    rows = tables.table2(celeba, 0.95)
    best = [tables.is_best(rows, row, "reconstruction_error_mean") for row in rows]
    assert best == [True, False, True, False]
    assert [tables.is_best(rows, row, "kl_mean") for row in rows] == [False, True, False, True]


def test_best_is_among_equal_likelihoods_and_the_papers_values_are_of_one(tmp_path):
    methods = {
        "VAE": {"beta": 1},
        "β-VAE": {"beta": 4},
        "VAE in nats": {"beta": 1, "likelihood": "bernoulli"},
        "β-VAE in nats": {"beta": 4, "likelihood": "bernoulli"},
    }
    e = experiment(tmp_path, methods, seeds=(0,))
    for method, error, kl in zip(methods, (220, 240, 6500, 6490), (24, 16, 99, 98), strict=True):
        write_metrics(e, "celeba", method, 0, float(error), float(kl))
    rows = [row for row in tables.table2(e, 0.95) if row.split == "test"]
    best = {c: [tables.is_best(rows, row, c) for row in rows] for c in ("kl_mean", "paper_kl")}
    best["error"] = [tables.is_best(rows, row, "reconstruction_error_mean") for row in rows]
    assert best["error"] == [True, False, False, True]
    assert best["kl_mean"] == [False, True, False, True]
    assert best["paper_kl"] == [False, True, False, True]  # two rows of the same number
    alone = [rows[0], rows[3]]
    assert [tables.is_best(alone, row, "paper_kl") for row in alone] == [False, True]
    markdown = written(rows, tmp_path)[1]
    assert "(CelebA: squared error summed over pixels; CelebA: Bernoulli, nats summed" in markdown
    assert "| VAE in nats | 1 | 0 | likelihood = bernoulli |" in markdown


def test_missing_run_is_named(tmp_path, celeba):
    e = experiment(tmp_path, {**METHODS, "β-GVAE": (4, 10)})
    with pytest.raises(UserError, match=r"cannot read .*celeba/beta4_gamma10/seed0/metrics\.json"):
        tables.table2(e, 0.95)


def test_a_file_of_another_training_is_refused(celeba):
    path = write_metrics(celeba, "celeba", "VAE", 0, 1.0, 1.0, **STAND_IN)
    other = write_metrics(celeba, "celeba", "β-VAE", 0, 1.0, 1.0, **STAND_IN)
    path.write_text(other.read_text())
    with pytest.raises(UserError, match=r"beta1_gamma0/seed0/metrics\.json is of another training"):
        tables.table2(celeba, 0.95)


def test_real_and_stand_in_images_do_not_mix(celeba):
    write_metrics(celeba, "celeba", "β-VAE", 1, 1.0, 1.0)
    with pytest.raises(UserError, match="cannot be compared"):
        tables.table2(celeba, 0.95)


def test_unequal_splits_are_refused(celeba):
    path = write_metrics(celeba, "celeba", "β-VAE", 1, 1.0, 1.0, **STAND_IN)
    content = json.loads(path.read_text())
    del content["splits"]["test"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="other splits than the rest"):
        tables.table2(celeba, 0.95)


def test_damaged_metrics_name_the_file(celeba):
    path = write_metrics(celeba, "celeba", "VAE", 0, 1.0, 1.0)
    path.write_text('{"splits": {}}')
    with pytest.raises(UserError, match=r"metrics\.json lacks 'training'"):
        tables.table2(celeba, 0.95)


def test_stand_in_is_marked_in_every_row_of_every_format(celeba, tmp_path):
    rows = tables.table2(celeba, 0.95)
    for text in written(rows, tmp_path):
        assert text.count(MARK) >= len(rows)
    _, markdown, latex = written(rows, tmp_path)
    assert markdown.startswith("**Warning: the numbers for CelebA are from drawn stand-in images")
    assert latex.index("\\textbf{Warning") < latex.index("\\caption")


def test_real_images_carry_no_mark(tmp_path):
    e = experiment(tmp_path, METHODS)
    write_celeba(e)
    for text in written(tables.table2(e, 0.95), tmp_path):
        assert "stand-in" not in text


def test_csv_keeps_every_digit_and_leaves_gaps_empty(tmp_path):
    e = experiment(tmp_path, METHODS)
    write_celeba(e, **STAND_IN)
    text = written(tables.table2(e, 0.95), tmp_path)[0]
    vae, *_ = csv.DictReader(text.splitlines())
    # t(0.975, 1) = 12.706205; standard error of 220 and 224 is 2.
    assert float(vae["reconstruction_error_high"]) == pytest.approx(222 + 2 * 12.706205, rel=1e-7)
    assert vae["stand_in"] == "True"
    one_seed = written(tables.table2(replace(e, seeds=(0,)), 0.95), tmp_path)[0]
    assert next(csv.DictReader(one_seed.splitlines()))["kl_low"] == ""


GOLDEN = """\
Methods.

| Data | Split | Images | Method | β | γ | Seeds | Reconstruction error | KL divergence | \
Paper: reconstruction error | Paper: KL divergence |
| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| dSprites | all images | 162,770 | VAE | 1 | 0 | 2 | **31.000 ± 1.000** | 25.000 ± 0.000 |  |  |
| dSprites | all images | 162,770 | β-VAE | 4 | 0 | 2 | 45.000 ± 0.000 | **15.000 ± 0.000** |  |  |

Reconstruction error (dSprites: Bernoulli, nats summed over pixels) and KL divergence (nats) an \
image; mean over seeds ± half of the 50 % interval (Student's t; – with one seed). Images: \
how many of the split were evaluated. Bold: lowest on the split, and lowest of the paper's \
values. The paper does not say which split its values are from, nor what they vary by.
"""


def test_golden_markdown(tmp_path):
    e = experiment(tmp_path, METHODS, datasets=("dsprites",))
    for method, *errors in (("VAE", 20.0, 22.0), ("β-VAE", 35.0, 35.0)):
        for seed, error in enumerate(errors):
            write_metrics(e, "dsprites", method, seed, error, 25.0 if method == "VAE" else 15.0)
    assert written(tables.table2(e, 0.5), tmp_path, "Methods.")[1] == GOLDEN


def test_one_seed_has_a_dash_for_its_interval(tmp_path):
    e = experiment(tmp_path, METHODS, datasets=("dsprites",), seeds=(0,))
    for method in METHODS:
        write_metrics(e, "dsprites", method, 0, 35.0, 15.0)
    markdown = written(tables.table2(e, 0.5), tmp_path)[1]
    assert "| β-VAE | 4 | 0 | 1 | **45.000 ± –** | **15.000 ± –** |" in markdown


def test_latex_is_escaped_and_balanced(celeba, tmp_path):
    rows = tables.table2(celeba, 0.95)
    latex = written(rows, tmp_path, "50 % of A & B_1")[2]
    assert "\\caption{50 \\% of A \\& B\\_1}" in latex
    assert "$\\beta$-VAE" in latex
    assert "\\textbf{222.000 $\\pm$ 25.412}" in latex
    assert latex.count("{") - latex.count("\\{") == latex.count("}") - latex.count("\\}")
    assert latex.isascii()
    lines = [line for line in latex.splitlines() if line.endswith(" \\\\")]
    assert {line.replace("\\&", "").count("&") for line in lines} == {10}


def test_same_bytes_every_time(celeba, tmp_path):
    first = written(tables.table2(celeba, 0.95), tmp_path)
    write_celeba(celeba, **STAND_IN)
    assert written(tables.table2(celeba, 0.95), tmp_path) == first
