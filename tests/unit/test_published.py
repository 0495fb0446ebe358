"""Do published runs follow from their own CSV files, and does the README say what they say?"""

import csv
import dataclasses
import json
import statistics
import sys
from pathlib import Path

import pytest
from scipy import stats

from betagvae.evaluation.scores.registry import NUMBERS as SCORES
from betagvae.paper.claims.comparison import Comparison
from betagvae.paper.claims.definition import Claim
from betagvae.paper.claims.verdicts import DatasetResult
from betagvae.paper.quality_tables import FRECHET, NETWORKS
from betagvae.paper.quality_tables import NUMBERS as QUALITY

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted((ROOT / "results" / "published").glob("*"))
WEIGHTS = {"VAE": (1, 0), "β-VAE": (4, 0), "β-GVAE": (4, 10), "(4, 10)": (4, 10)}
LARGEST = 500_000

pytestmark = pytest.mark.parametrize("run", PUBLISHED, ids=lambda path: path.name)


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def claims(run):
    return json.loads((run / "claims.json").read_text(encoding="utf-8"))


def by_seed(run, claim, test, method):
    """Return a claim's quantity by seed, from the CSV files alone."""
    names = (claim["quantity"], f"{claim['quantity']}_{test['basis']}")
    file = {"metrics": "runs", "scores": "scores", "quality": "quality"}[claim["evidence"]]
    found = {}
    for row in rows(run / f"{file}.csv"):
        same = (float(row["beta"]), float(row["gamma"])) == WEIGHTS[method]
        if row["dataset"] != test["dataset"] or not same:
            continue
        if file == "runs":
            terms = {name: float(row[name]) for name in ("reconstruction_error", "kl")}
            terms["objective"] = terms["reconstruction_error"] + claim["beta"] * terms["kl"]
            found[int(row["seed"])] = terms[claim["quantity"]]
        elif row["score"] in names:
            found[int(row["seed"])] = float(row["value"])
    return found


def interval(values, level=0.95):
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    mean = statistics.fmean(values)
    return mean, mean - half, mean + half


def test_every_difference_follows_from_the_csv_files(run):
    tested = 0
    for result in claims(run)["claims"]:
        for test in result["results"]:
            for comparison in test["comparisons"]:
                one, other = (
                    by_seed(run, result["claim"], test, comparison[name])
                    for name in ("method", "compared_with")
                )
                expected = [one[seed] - other[seed] for seed in comparison["seeds"]]
                assert comparison["differences"] == pytest.approx(expected)
                found = [comparison["difference"][name] for name in ("mean", "low", "high")]
                assert found == pytest.approx(interval(expected))
                tested += 1
    assert tested


def test_the_verdicts_follow_from_the_intervals(run):
    """Without the code that decides: each surplus is on one side of 0, or on both."""
    for result in claims(run)["claims"]:
        for test in result["results"]:
            if test["verdict"] == "reproduced":
                assert all(c["surplus"]["low"] > 0 for c in test["comparisons"])
            if test["verdict"] == "not reproduced":
                assert any(c["surplus"]["high"] < 0 for c in test["comparisons"])
            if test["verdict"] == "inconclusive":
                assert any(c["surplus"]["low"] <= 0 for c in test["comparisons"])


def test_table_2_follows_from_the_trainings(run):
    trainings = rows(run / "runs.csv")
    for row in rows(run / "table2.csv"):
        for quantity in ("reconstruction_error", "kl"):
            values = [
                float(one[quantity])
                for one in trainings
                if all(one[k] == row[k] for k in ("dataset", "split"))
                and all(float(one[k]) == float(row[k]) for k in ("beta", "gamma"))
            ]
            mean, low, high = interval(values)
            assert float(row[f"{quantity}_mean"]) == pytest.approx(mean)
            assert float(row[f"{quantity}_low"]) == pytest.approx(low)
            assert float(row[f"{quantity}_high"]) == pytest.approx(high)


def test_the_curves_end_at_the_trainings_length(run):
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    steps = provenance["settings"]["steps"]
    ends = {}
    for row in rows(run / "curves.csv"):
        ends[row["dataset"], row["beta"], row["gamma"], row["seed"]] = int(row["step"])
    assert set(ends.values()) == {steps}
    assert len(ends) == len(provenance["trainings"])


def test_the_files_have_the_forms_that_the_sources_write(run):
    def names(kind):
        return {field.name for field in dataclasses.fields(kind)}

    for result in claims(run)["claims"]:
        assert set(result["claim"]) == names(Claim)
        for test in result["results"]:
            assert set(test) == names(DatasetResult)
            assert all(set(c) == names(Comparison) for c in test["comparisons"])
    assert {row["score"] for row in rows(run / "scores.csv")} <= set(SCORES)
    distances = {f"{name}_{network}" for name in FRECHET for network in NETWORKS}
    assert {row["score"] for row in rows(run / "quality.csv")} <= set(QUALITY) | distances


def test_the_readme_says_what_the_files_say(run, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "workflow" / "scripts")
    import publish

    sys.modules.pop("publish")
    link = run.relative_to(ROOT).as_posix()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("<!-- published: begin -->\n")[2].partition("<!-- published: end -->")[
        0
    ]
    assert shown
    if f"({link}/claims.md)" in shown:
        assert shown == publish.readme_block(run, link)


def test_no_weights_are_published(run):
    assert all(path.stat().st_size < LARGEST for path in run.iterdir())
    assert {path.suffix for path in run.iterdir()} <= {".csv", ".json", ".md", ".png"}
