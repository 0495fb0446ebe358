"""The real workflow through the real Snakemake, at tiny scale, in a copy of the source tree."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from trees import planned, planned_jobs, snakemake

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


@pytest.mark.parametrize("per_job", [1, 20])
def test_another_beta_trains_that_method_alone(finished, tmp_path, per_job):
    """Also where all trainings of a data set would share a job."""
    changed = tmp_path / "changed.yaml"
    changed.write_text(f"methods: {{beta-VAE: {{beta: 5}}}}\ntrainings_per_job: {per_job}\n")
    assert planned(finished, configfiles=[changed]) == {
        "training": 3,
        "evaluation": 3,
        "disentanglement_scores": 3,
        "image_quality": 3,
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


def test_another_name_of_a_method_trains_nothing_again(finished, tmp_path):
    """Also where its row says what is so anyway, and where another row is the same training."""
    renamed = tmp_path / "renamed.yaml"
    renamed.write_text(
        "methods: {beta-VAE: null, Higgins: {beta: 4, gamma: 0, steps: 4, reward: logit}, "
        "same: {beta: 4.0}}\n"
    )
    jobs = planned(finished, configfiles=[renamed])
    again = {"training", "evaluation", "disentanglement_scores", "image_quality", "image_array"}
    assert not again & set(jobs)
    assert {"table2", "claims", "traversals"} <= set(jobs)


def test_the_reading_of_one_method_s_reward_is_a_row(finished, tmp_path):
    rows = tmp_path / "rows.yaml"
    rows.write_text("methods: {logit: {beta: 0.12345678, gamma: 1.0e-5, reward: logit}}\n")
    output = snakemake(finished, "--dry-run", "train", configfiles=[rows])
    assert planned_jobs(output)["training"] == 3
    assert "beta0.12345678_gamma1e-05_reward-logit/seed0/model.safetensors" in output


def per_job(folder, trainings, more=""):
    """Write a configuration of dSprites alone, with a number of trainings in a job."""
    path = folder / f"{trainings} a job.yaml"
    path.write_text(
        "datasets: {celeba: null, chairs3d: null}\ntable1: null\nseeds: [0, 1]\n"
        f"trainings_per_job: {trainings}\n{more}"
    )
    return path


def weights_of_seed(folder, seed):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.glob(f"results/tiny/dsprites/*/seed{seed}/model.safetensors")
    }


def test_trainings_that_share_a_job_give_the_same_files(finished, tmp_path):
    """All methods of a data set, with a seed more than is made."""
    shared, single = (
        shutil.copytree(finished, tmp_path / name, symlinks=True) for name in ("shared", "single")
    )
    together, apart = per_job(tmp_path, 20), per_job(tmp_path, 1)
    assert planned(shared, "train", configfiles=[apart]) == {"training": 3, "train": 1}
    before = weights_of_seed(shared, 0)

    output = snakemake(shared, "train", configfiles=[together])
    assert len(set(re.findall(r"rule (training_\w+):", output))) == 1
    log = "results/tiny/logs/dsprites/beta1_gamma0/seed1_to_beta4_gamma10_seed1/train.log"
    assert (shared / log).exists()
    assert weights_of_seed(shared, 0) == before
    assert len(weights_of_seed(shared, 1)) == 3

    snakemake(single, "train", configfiles=[apart])
    assert weights_of_seed(single, 1) == weights_of_seed(shared, 1)
    for config in (apart, per_job(tmp_path, 4), together):
        assert planned(shared, "train", configfiles=[config]) == {}


def test_a_node_trains_what_the_machine_that_submits_the_job_has_chosen(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "node", symlinks=True)
    chosen = ("beta1_gamma0", "beta4_gamma10")
    jobs = {"dsprites": [[f"results/tiny/dsprites/{name}/seed1" for name in chosen]]}
    rule = "training_dsprites_01"
    node = ("--mode", "remote", "--nolock", "--force", "--allowed-rules", rule)
    node = (*node, "--target-jobs", f"{rule}:")
    options = {"configfiles": [per_job(tmp_path, 1)], "check": False}
    assert "BETAGVAE_JOBS" in snakemake(folder, *node, **options)
    assert not weights_of_seed(folder, 1)

    told = {**os.environ, "BETAGVAE_JOBS": json.dumps(jobs)}
    snakemake(folder, *node, **options, env=told)
    assert {Path(name).parts[3] for name in weights_of_seed(folder, 1)} == set(chosen)

    # Left in the environment it decides nothing.
    assert planned(folder, "train", **options, env=told) == {"training": 1, "train": 1}


def test_a_training_that_fails_takes_no_other_with_it(finished, tmp_path):
    """Only a method with a discriminator fails where that learns too fast."""
    folder = shutil.copytree(finished, tmp_path / "failing", symlinks=True)
    fast = "training: {discriminator_learning_rate: 1.0e+30}\n"
    options = {"check": False, "configfiles": [per_job(tmp_path, 20, f"{fast}run: failing\n")]}
    output = snakemake(folder, "train", **options)
    failed = re.findall(r"^betagvae: (.*)$", output, re.M)
    assert "β = 4, γ = 10, seed 0: the loss is nan at step" in failed[0]
    assert "β = 4, γ = 10, seed 1: the loss is nan at step" in failed[0]
    assert "4 beside it are done" in failed[0]
    results = folder / "results/failing/dsprites"
    assert not list(results.rglob("model.safetensors"))

    options["configfiles"] = [per_job(tmp_path, 1, f"{fast}run: failing\n")]
    snakemake(folder, "train", "--keep-going", **options)
    made = {path.parent.relative_to(results).as_posix() for path in results.rglob("*.safetensors")}
    assert made == {f"beta{beta}_gamma0/seed{seed}" for beta in (1, 4) for seed in (0, 1)}
    for run in made:
        log = folder / "results/failing/logs/dsprites" / run / "train.log"
        assert "going on from step 4" in log.read_text()
    assert not [path for path in results.rglob("*.resume.pt") if "gamma0" in str(path)]


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("paper/tables_1_2", {"table1", "table2", "table2_metrics"}),
        ("results/summary", {"score_tables", "quality_tables"}),
        ("evaluation/scores/mig", {"disentanglement_scores", "score_tables", "claims"}),
        ("settings/scores", {"disentanglement_scores", "score_tables", "claims"}),
        ("evaluation/image_quality", {"image_quality", "quality_tables", "claims"}),
        ("paper/pictures", {"bars", "training_curves", "rate_distortion", "traversals"}),
        ("paper/claims/statistics", {"claims"}),
        (
            "data/drawn_faces",
            {
                *("image_array", "training", "evaluation"),
                *("disentanglement_scores", "image_quality"),
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
