"""The real workflow through the real Snakemake, at tiny scale, in a copy of the source tree."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from source_tree import copy_source_tree, planned_jobs

SNAKEMAKE = Path(sys.executable).with_name("snakemake")

pytestmark = pytest.mark.slow


def snakemake(folder, *arguments, configfiles=(), check=True):
    words = [SNAKEMAKE, "--cores", "2", *arguments, "--configfile", "config/demo.yaml"]
    words += [Path(__file__).with_name("tiny.yaml"), *configfiles]
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
    )
    assert not check or done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def planned(folder, **options):
    """Return how often each rule would run."""
    return planned_jobs(snakemake(folder, "--dry-run", **options))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workflow") / "a folder"
    copy_source_tree(folder)
    snakemake(folder)
    return folder


def test_every_output_is_made(finished):
    results = finished / "results" / "tiny"
    expected = {f"table{n}{end}" for n in (1, 2) for end in (".csv", ".md", ".tex")}
    expected.add("table2.json")
    figures = ("fig4", "fig5", "fig6", "fig7", "fig8", "training_curves")
    expected |= {f"{figure}{end}" for figure in figures for end in (".png", ".pdf")}
    assert {path.name for path in results.iterdir() if path.is_file()} == expected
    assert all((results / name).stat().st_size > 200 for name in expected)
    # Three data sets with three methods, and one pair of Table 1 that is not a method's.
    for name in ("model.safetensors", "history.csv", "training.json", "metrics.json"):
        assert len(list(results.glob(f"*/*/seed0/{name}"))) == 10


def test_each_run_records_how_it_came_about(finished):
    record = json.loads(
        (finished / "results/tiny/dsprites/beta4_gamma10/seed0/training.json").read_text()
    )
    assert record["settings"]["beta"] == 4
    assert record["settings"]["steps"] == 4
    assert len(record["data"]["hashes"]["array"]["sha256"]) == 64
    assert record["provenance"]["packages"]["torch"]


def test_a_stand_in_shows_in_every_table_and_in_its_name(finished):
    results = finished / "results" / "tiny"
    for table in ("table1", "table2"):
        assert "stand-in" in (results / f"{table}.md").read_text()
        assert "stand-in" in (results / f"{table}.tex").read_text()
        with (results / f"{table}.csv").open() as file:
            for row in csv.DictReader(file):
                assert row["stand_in"] == str(row["dataset"] != "dsprites")
    arrays = {path.name for path in (finished / "data").glob("*.npy")}
    assert arrays == {"celeba.drawn.npy", "chairs3d.drawn.npy", "dsprites.drawn.npy"}


def test_a_second_run_does_nothing(finished):
    assert planned(finished) == {}


def test_another_beta_trains_that_method_alone(finished, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text("methods: {beta-VAE: {beta: 5}}\n", encoding="utf-8")
    assert planned(finished, configfiles=[changed]) == {
        "training": 3,
        "evaluation": 3,
        "table2": 1,
        "table2_metrics": 1,
        "bars": 2,
        "training_curves": 1,
        "traversals": 3,
    }


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("tables", {"table1", "table2", "table2_metrics"}),
        ("figures", {"bars", "training_curves", "traversals"}),
        (
            "datasets/drawn_faces",
            {
                *("image_array", "training", "evaluation", "table1", "table2", "table2_metrics"),
                *("bars", "training_curves", "traversals"),
            },
        ),
    ],
)
def test_an_edit_reruns_the_stages_that_use_it(finished, module, rules):
    source = finished / "src" / "betagvae" / f"{module}.py"
    original = source.read_text()
    source.write_text(original + "\n")
    try:
        assert set(planned(finished)) == rules
    finally:
        source.write_text(original)


def test_a_misspelt_key_is_named(finished, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("training: {stepz: 4}\n")
    output = snakemake(finished, "--dry-run", configfiles=[wrong], check=False)
    assert "stepz" in output
    assert "Traceback" not in output


def test_a_missing_image_stops_the_workflow_before_any_job(finished):
    output = snakemake(finished, "--dry-run", "--use-singularity", check=False)
    assert "there is no image at envs/betagvae.sif" in output
    assert "Traceback" not in output
