"""Two methods of equal β and γ that differ in another setting: apart wherever methods are."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from matplotlib.colors import to_hex
from run_files import experiment, training, write, write_metrics, write_quality, write_scores

from betagvae.paper.claims.judging import judge_claims
from betagvae.paper.figures_4_5 import bars_figure
from betagvae.paper.pictures import COLOURS
from betagvae.paper.quality_tables import FRECHET, NUMBERS, quality_tables
from betagvae.paper.rate_distortion import rate_distortion_figure
from betagvae.paper.score_tables import score_tables
from betagvae.paper.table_2_metrics import table_metrics
from betagvae.paper.tables_1_2 import table1, table2, write_table
from betagvae.paper.training_curves import _trained, curves_figure
from betagvae.results.runs import load, load_runs
from betagvae.settings.scores import ScoreSettings
from betagvae.settings.setting import defaults

PLAIN, LOGIT = "β-GVAE", "β-GVAE-logit"
METHODS = {
    PLAIN: {"beta": 4, "gamma": 10},
    LOGIT: {"beta": 4, "gamma": 10, "reward": "logit"},
}
ERRORS = {PLAIN: 230.0, LOGIT: 260.0}
SEEDS = (0, 1, 2)
HEADINGS = f"| {PLAIN} (β = 4, γ = 10) | {LOGIT} (β = 4, γ = 10, reward = logit) |"


@pytest.fixture
def two(tmp_path):
    """All files of both methods, and Table 1's pair, which is the first."""
    e = experiment(tmp_path / "results", METHODS, seeds=SEEDS, pairs=[(4, 10)])
    for method, error in ERRORS.items():
        for seed in SEEDS:
            own = error + seed / 10 + seed**2 / 100 * (method == LOGIT)
            write_metrics(e, "celeba", method, seed, own, own - 200)
            content = {"images": 100, "settings": defaults(ScoreSettings)}
            write_scores(e, "celeba", method, seed, {"active_units": own}, **content)
            write_quality(e, "celeba", method, seed, dict.fromkeys((*FRECHET, *NUMBERS), own))
            one = training(e, "celeba", method, seed)
            record = write(e, "training.json", "celeba", method, seed, {})
            known = json.loads(record.read_text())
            content = {"data": known, "settings": known["training"]}
            record.write_text(json.dumps(content))
            assert one.settings.reward == METHODS[method].get("reward", "probability")
            history = f"step,reconstruction_error,kl\n1000,{own},{own}\n2000,{own},{own}\n"
            record.with_name("history.csv").write_text(history)
    return e


def test_they_are_trained_apart(two):
    folders = [t.folder for t in two.trainings("celeba")]
    assert len(set(folders)) == 2 * len(SEEDS)
    assert [two.method_of(t) for t in two.trainings("celeba")] == [PLAIN] * 3 + [LOGIT] * 3


def test_they_are_two_rows_of_table_2(two, tmp_path):
    rows = [row for row in table2(two, 0.95) if row.split == "test"]
    assert [(row.method, row.beta, row.gamma, row.others) for row in rows] == [
        (PLAIN, 4, 10, ""),
        (LOGIT, 4, 10, "reward = logit"),
    ]
    assert [round(row.reconstruction_error_mean) for row in rows] == [230, 260]
    assert {row.paper_kl for row in rows} == {16.235}
    outputs = [tmp_path / f"table2.{ending}" for ending in ("csv", "md", "tex")]
    write_table(rows, *outputs, "Methods.")
    markdown, latex = outputs[1].read_text(), outputs[2].read_text()
    assert "| β | γ | Others | Seeds |" in markdown
    assert f"| {PLAIN} | 4 | 10 |  | 3 | **230.100 ±" in markdown
    assert f"| {LOGIT} | 4 | 10 | reward = logit | 3 | 260" in markdown
    lines = [line for line in latex.splitlines() if line.endswith(" \\\\")]
    assert len({line.replace("\\&", "").count("&") for line in lines}) == 1
    table_metrics(outputs[0], tmp_path / "table2.json")
    nested = json.loads((tmp_path / "table2.json").read_text())
    assert set(nested["celeba"]["test"]) == {PLAIN, LOGIT}


def test_only_the_one_that_sets_nothing_else_is_in_table_1(two):
    found = {
        round(row.reconstruction_error_mean) for row in table1(two, 0.95) if row.split == "test"
    }
    assert found == {230}


@pytest.mark.parametrize("write_tables", [score_tables, quality_tables])
def test_they_are_two_columns_of_the_tables_over_seeds(two, tmp_path, write_tables):
    outputs = [tmp_path / f"table.{ending}" for ending in ("csv", "md", "tex")]
    write_tables(two, 0.95, outputs)
    markdown = outputs[1].read_text()
    assert HEADINGS in markdown
    assert "230.100 ± 0.248" in markdown
    tidy = list(csv.DictReader(outputs[0].read_text().splitlines()))
    first = [row for row in tidy if row["score"] == tidy[0]["score"]]
    assert [row["method"] for row in first] == [PLAIN] * 3 + [LOGIT] * 3
    assert {(row["beta"], row["gamma"]) for row in first} == {("4.0", "10.0")}
    assert "The other pairs of Table 1" not in markdown


def test_they_are_two_bars_and_two_lines(two):
    (axes,) = bars_figure(load_runs(two.without_table1()), "reconstruction_error", 0.95).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == [PLAIN, LOGIT]
    assert [round(bar.get_height()) for bar in axes.patches] == [230, 260]
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == list(COLOURS[:2])
    curves = curves_figure(load(two.without_table1(), "training.json", _trained))
    lines = curves.axes[0].lines
    assert [line.get_label() for line in lines] == [PLAIN, LOGIT]
    assert [round(line.get_ydata()[0]) for line in lines] == [230, 260]
    assert [line.get_color() for line in lines] == list(COLOURS[:2])


def test_they_are_two_groups_of_points(two):
    figure = rate_distortion_figure(load_runs(two))
    dots = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert [round(line.get_ydata()[0]) for line in dots] == [230, 260]
    assert [line.get_color() for line in dots] == list(COLOURS[:2])
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()][:2]
    assert shown == [f"{PLAIN} (4, 10)", f"{LOGIT} (4, 10, reward = logit)"]


@pytest.fixture
def judged(two, tmp_path):
    """Judges a claim that the first has less of a number than the second; or the reverse."""

    def judge(method, rival, evidence="metrics", quantity="kl"):
        claim = {
            "id": "mine",
            "text": "One is lower",
            "where": "here",
            "datasets": ["celeba"],
            "evidence": evidence,
            "quantity": quantity,
            "method": method,
            "relation": "lower",
            "compared_with": [rival],
            "margin": 5,
            **({"split": "held_out"} if evidence == "metrics" else {}),
        }
        claims, data, page = (tmp_path / name for name in ("claims.yaml", "c.json", "c.md"))
        claims.write_text(yaml.safe_dump({"power": 0.8, "least_steps": 1000, "claims": [claim]}))
        judge_claims(claims, two, 0.95, data, page)
        (found,) = json.loads(data.read_text())["claims"]
        return found["results"][0], page.read_text()

    return judge


NAMES = {PLAIN: "beta-GVAE", LOGIT: "beta-GVAE-logit"}


@pytest.mark.parametrize(
    ("evidence", "quantity"),
    [("metrics", "kl"), ("scores", "active_units"), ("quality", "frechet_sample")],
)
def test_a_claim_can_name_either(judged, evidence, quantity):
    first, page = judged(NAMES[PLAIN], NAMES[LOGIT], evidence, quantity)
    assert first["verdict"] == "reproduced"
    assert f"{PLAIN} − {LOGIT}" in page
    assert len(first["inputs"]) == 2 * len(SEEDS)
    second, _ = judged(NAMES[LOGIT], NAMES[PLAIN], evidence, quantity)
    assert second["verdict"] == "not reproduced"
    (comparison,) = second["comparisons"]
    assert 29 < comparison["difference"]["mean"] < 31


def test_a_pair_in_a_claim_is_the_method_that_sets_nothing_else(judged):
    found, _ = judged(NAMES[LOGIT], [4, 10])
    assert found["verdict"] == "not reproduced"
    same, _ = judged([4, 10], NAMES[PLAIN])
    assert same["comparisons"][0]["differences"] == [0.0] * len(SEEDS)


def test_what_a_claim_lacks_is_named_with_all_that_the_method_sets(judged, two):
    for seed in SEEDS:
        Path(training(two, "celeba", LOGIT, seed).folder, "metrics.json").unlink()
    found, _ = judged(NAMES[LOGIT], NAMES[PLAIN])
    assert found["reasons"] == ["there is no metrics.json with (β, γ) = (4, 10, reward = logit)"]
