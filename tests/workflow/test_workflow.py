"""The real workflow through the real Snakemake, at tiny scale, in a copy of the source tree."""

import csv
import json
import shutil

import pytest
from trees import planned, snakemake

pytestmark = pytest.mark.slow


def test_every_output_is_made(finished):
    results = finished / "results" / "tiny"
    tables = ("table1", "table2", "scores", "quality")
    expected = {f"{table}{end}" for table in tables for end in (".csv", ".md", ".tex")}
    expected |= {"table2.json", "claims.json", "claims.md"}
    figures = ("fig4", "fig5", "fig6", "fig7", "fig8", "training_curves", "rate_distortion")
    expected |= {f"{figure}{end}" for figure in figures for end in (".png", ".pdf")}
    assert {path.name for path in results.iterdir() if path.is_file()} == expected
    assert all((results / name).stat().st_size > 200 for name in expected)
    # Three data sets with three methods, and one pair of Table 1 that is not a method's.
    names = ("model.safetensors", "history.csv", "training.json", "metrics.json")
    for name in (*names, "scores.json", "quality.json"):
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
    for table in ("table1", "table2", "scores", "quality"):
        assert "stand-in" in (results / f"{table}.md").read_text()
        assert "stand-in" in (results / f"{table}.tex").read_text()
        with (results / f"{table}.csv").open() as file:
            for row in csv.DictReader(file):
                assert row["stand_in"] == str(row["dataset"] != "dsprites")
    arrays = {path.name for path in (finished / "data").glob("*.npy")}
    assert arrays == {"celeba.drawn.npy", "chairs3d.drawn.npy", "dsprites.drawn.npy"}


def test_nothing_of_a_tiny_run_is_judged(finished):
    results = finished / "results" / "tiny"
    claims = json.loads((results / "claims.json").read_text())["claims"]
    assert {claim["verdict"] for claim in claims} == {"not judged", "not tested"}
    assert "**Not judged: CelebA stand-in (drawn).**" in (results / "claims.md").read_text()


def test_an_edited_claim_is_judged_anew(finished):
    path = finished / "config" / "claims.yaml"
    original = path.read_text()
    path.write_text(original.replace("power: 0.8", "power: 0.9"))
    try:
        assert planned(finished) == {"claims": 1}
    finally:
        path.write_text(original)


def test_a_second_run_does_nothing(finished):
    assert planned(finished) == {}


def test_another_beta_trains_that_method_alone(finished, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text("methods: {beta-VAE: {beta: 5}}\n", encoding="utf-8")
    assert planned(finished, configfiles=[changed]) == {
        "training": 3,
        "evaluation": 3,
        "scores": 3,
        "quality": 3,
        "table2": 1,
        "table2_metrics": 1,
        "score_tables": 1,
        "quality_tables": 1,
        "claims": 1,
        "bars": 2,
        "training_curves": 1,
        "rate_distortion": 1,
        "traversals": 3,
    }


def test_seeds_that_share_a_job_give_the_same_files(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "shared", symlinks=True)
    together, apart = tmp_path / "together.yaml", tmp_path / "apart.yaml"
    together.write_text("seeds: [0, 1]\nseeds_per_job: 2\n")
    apart.write_text("seeds: [0, 1]\nseeds_per_job: 1\n")
    run = "results/tiny/dsprites/beta4_gamma10"
    models = [f"{run}/seed{seed}/model.safetensors" for seed in (0, 1)]
    assert planned(folder, *models, configfiles=[apart]) == {"training": 1}
    before = (folder / models[0]).read_bytes()

    output = snakemake(folder, *models, configfiles=[together])
    assert "rule training_seeds_0_1:" in output
    assert (folder / models[0]).read_bytes() == before
    assert (folder / models[1]).read_bytes() != before
    assert (folder / "results/tiny/logs/dsprites/beta4_gamma10/seed0-1/train.log").exists()
    assert planned(folder, *models, configfiles=[apart]) == {}
    assert planned(folder, *models, configfiles=[together]) == {}


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("tables", {"table1", "table2", "table2_metrics"}),
        ("summary", {"score_tables", "quality_tables"}),
        ("scores/mig", {"scores", "score_tables", "claims"}),
        ("quality", {"quality", "quality_tables", "claims"}),
        ("figures", {"bars", "training_curves", "rate_distortion", "traversals"}),
        ("claims/statistics", {"claims"}),
        (
            "datasets/drawn_faces",
            {
                *("image_array", "training", "evaluation", "scores", "quality"),
                *("table1", "table2", "table2_metrics", "score_tables", "quality_tables"),
                *("claims", "bars", "training_curves", "rate_distortion", "traversals"),
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


def test_the_benchmark_covers_every_training_of_the_configuration(finished, tmp_path):
    only_celeba = tmp_path / "celeba.yaml"
    only_celeba.write_text("datasets: {chairs3d: null, dsprites: null}\n")
    output = snakemake(finished, "bench", configfiles=[only_celeba])
    assert "# Speed of training on this machine" in output
    results = finished / "results" / "tiny" / "bench"
    record = json.loads((results / "bench.json").read_text())
    assert record["grid_total"]["trainings"] == 4
    assert record["trainings"]["celeba"]["likelihood"] == "squared_error"
    assert record["trainings"]["celeba"]["batch_size"] == 16
    with (results / "side_by_side.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["VAE", "β-VAE", "β-GVAE"]
    assert planned(finished, "bench", configfiles=[only_celeba]) == {}


def test_a_misspelt_key_is_named(finished, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("training: {stepz: 4}\n")
    output = snakemake(finished, "--dry-run", configfiles=[wrong], check=False)
    assert "stepz" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("relation: close", "relation: near", "'near' is not one of"),
        ("id: 1b", "", "'id' is a required property"),
    ],
)
def test_a_wrong_claim_stops_the_workflow_before_any_job(finished, tmp_path, old, new, error):
    wrong = (finished / "config" / "claims.yaml").read_text().replace(old, new)
    (tmp_path / "claims.yaml").write_text(wrong)
    config = tmp_path / "mine.yaml"
    config.write_text(f"claims: {tmp_path}/claims.yaml\n")
    output = snakemake(finished, "--dry-run", configfiles=[config], check=False)
    assert error in output
    assert "Traceback" not in output
