"""The tiny workflow inside the jobs' real image, through the real Apptainer."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from trees import ROOT, SNAKEMAKE, copy_tree, planned, snakemake

pytestmark = pytest.mark.slow

IMAGE = ROOT / "envs" / "betagvae.sif"
INSIDE = "--use-singularity"
EVIDENCE = ("*/*/seed0/model.safetensors", "*/*/seed0/history.csv", "*/*/seed0/codes.safetensors")
ENVIRONMENT_RULE = """
include: "Snakefile"

rule environment:
    output:
        "environment.json"
    shell:
        "python -c 'import json, os, torch; "
        "print(json.dumps(dict(os.environ, gpu=torch.cuda.is_available())))' > {output}"
"""


def have_image():
    if not shutil.which("singularity"):
        pytest.skip("Apptainer is not installed")
    if not IMAGE.exists():
        pytest.skip(f"there is no {IMAGE.relative_to(ROOT)}: run `make image`")


@pytest.fixture(scope="module")
def contained(tmp_path_factory):
    """A tree in which the tiny workflow has run in the image, with data and results elsewhere."""
    have_image()
    base = tmp_path_factory.mktemp("container")
    folder = copy_tree(base / "a folder")
    for name in ("data", "results"):
        (base / "another disk" / name).mkdir(parents=True)
        (folder / name).symlink_to(base / "another disk" / name)
    snakemake(folder, INSIDE)
    return folder


def with_module(folder, name):
    """The environment of a user whose PYTHONPATH holds a module that cannot be imported."""
    folder.joinpath(f"{name}.py").write_text("raise SystemExit('the module of the host')\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def with_command(folder, name, script):
    """The environment of a user who has another command of this name first on PATH."""
    folder.mkdir()
    command = folder / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_missing_image_stops_the_workflow_before_any_job(tmp_path):
    folder = copy_tree(tmp_path / "a folder")
    for file in (folder / "envs").glob("*.sif*"):
        file.unlink()
    output = snakemake(folder, "--dry-run", INSIDE, check=False)
    assert "there is no image at envs/betagvae.sif: run `make image`" in output
    assert "Traceback" not in output


def test_every_result_is_the_same_bytes_as_outside(contained, finished):
    inside, outside = contained / "results" / "tiny", finished / "results" / "tiny"
    names = {path.name for path in outside.iterdir()}
    assert {path.name for path in inside.iterdir()} == names
    compared = [path for pattern in EVIDENCE for path in outside.glob(pattern)]
    compared += [path for path in outside.iterdir() if path.suffix in {".csv", ".md", ".tex"}]
    compared += (finished / "data").glob("*.npy")
    assert len(compared) > 30
    for path in compared:
        same = contained / path.relative_to(finished)
        assert same.read_bytes() == path.read_bytes(), path.relative_to(finished)


def test_every_job_says_where_it_ran(contained, finished):
    with IMAGE.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    lock = hashlib.sha256((ROOT / "envs" / "job.txt").read_bytes()).hexdigest()
    run = "results/tiny/dsprites/beta4_gamma10/seed0"
    for file in (f"{run}/training.json", f"{run}/metrics.json", "data/celeba.drawn.json"):
        records = [json.loads((folder / file).read_text()) for folder in (contained, finished)]
        inside, outside = (record.get("provenance") or record["surroundings"] for record in records)
        assert inside["container"] == f"sha256:{digest}"
        assert len(inside["environment"]) == 64
        assert inside["lock"] == outside["lock"] == lock
        assert inside["not_as_locked"] == []
        assert outside["container"] is None
        assert outside["environment"] is None
    logs = [path.read_text() for path in (contained / "results/tiny/logs").rglob("*.log")]
    assert len(logs) > 20
    assert all(f"running in the image sha256:{digest}" in log for log in logs)


def test_a_second_run_does_nothing(contained):
    assert planned(contained, INSIDE) == {}


def test_another_image_reruns_what_the_first_one_made(contained, tmp_path):
    sources = subprocess.check_output([contained / "envs/build-image", "--sources"], text=True)
    real = shutil.which("singularity")
    script = f'[ "$1" != --version ] || exec {real} "$@"\necho another {sources}'
    env = with_command(tmp_path / "bin", "singularity", script)
    assert {"image_array", "training", "table2", "traversals"} <= set(
        planned(contained, INSIDE, env=env)
    )


def test_an_image_of_other_sources_is_refused(contained):
    source = contained / "src" / "betagvae" / "model" / "networks.py"
    original = source.read_text()
    source.write_text(original + "\n")
    try:
        output = snakemake(contained, "--dry-run", INSIDE, check=False)
    finally:
        source.write_text(original)
    assert "was not made from these sources: run `make image`" in output
    assert "Traceback" not in output


def test_an_image_that_is_current_is_not_built_again(contained):
    before = IMAGE.stat().st_mtime_ns
    done = subprocess.run([ROOT / "envs" / "build-image"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert IMAGE.stat().st_mtime_ns == before


def test_a_job_sees_the_schedulers_variables_and_no_python_of_the_host(contained, tmp_path):
    (contained / "environment.smk").write_text(ENVIRONMENT_RULE)
    env = with_module(tmp_path, "torch")
    env |= {"CUDA_VISIBLE_DEVICES": "3", "SLURM_JOB_ID": "17", "PYTHONHOME": ""}
    env["APPTAINER_BIND"] = f"{tmp_path}:/mnt"
    snakemake(contained, "-s", "environment.smk", "environment.json", INSIDE, env=env)
    seen = json.loads((contained / "environment.json").read_text())
    assert seen["CUDA_VISIBLE_DEVICES"] == "3"
    assert seen["SLURM_JOB_ID"] == "17"
    assert not seen.get("PYTHONPATH")
    assert seen["PYTHONNOUSERSITE"] == "1"
    binds = seen["APPTAINER_BIND"].split(",")  # where they are inside
    assert "/mnt" in binds
    assert str((contained / "data").resolve()) in binds


@pytest.mark.any_device
def test_a_gpu_is_passed_exactly_where_there_is_one(contained, tmp_path):
    (contained / "environment.smk").write_text(ENVIRONMENT_RULE)
    real, asked = shutil.which("singularity"), tmp_path / "asked"
    script = f'echo "$APPTAINER_NV $SINGULARITY_NV" >> "{asked}"\nexec {real} "$@"'
    env = with_command(tmp_path / "bin", "singularity", script)
    words = ["-s", "environment.smk", "environment.json", "--forcerun", "environment", INSIDE]
    output = snakemake(contained, *words, env=env)
    gpu = Path("/dev/nvidiactl").exists()
    assert set(asked.read_text().split()) == {str(int(gpu))}
    assert json.loads((contained / "environment.json").read_text())["gpu"] == gpu
    assert "WARNING" not in output


def as_ordinary_user():
    """A prefix that runs a command as nobody, who on some machines cannot read root's Python."""
    if os.getuid():
        return []
    prefix, home = sys.base_prefix, Path.home()
    show_python = f"""
        python=$(mktemp -d)
        mount --bind {prefix} "$python" &&
        mount -t tmpfs -o mode=755 tmpfs {home} &&
        mkdir -p {prefix} &&
        mount --bind "$python" {prefix} &&
        """
    become = 'exec setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"'
    hidden = Path(prefix).is_relative_to(home)
    return ["unshare", "--mount", "sh", "-c", show_python * hidden + become, "sh"]


@pytest.fixture
def open_folder():
    """A folder that every user can enter; pytest closes its own to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_user_without_rights_runs_it_from_a_folder_of_their_own(open_folder):
    have_image()
    user, base = as_ordinary_user(), open_folder
    needed = ["sh", "-c", f"{SNAKEMAKE} --version && test -r {IMAGE}"]
    can = subprocess.run([*user, *needed], capture_output=True, text=True, env={"HOME": str(base)})
    if can.returncode:
        pytest.skip(f"an ordinary user cannot read this checkout: {can.stderr.strip()}")
    tree, folder = copy_tree(base / "a tree"), base / "my folder"
    subprocess.run(["chmod", "-R", "a+rX,a-w", str(tree)], check=True)
    folder.mkdir()
    folder.chmod(0o777)
    model = "results/tiny/dsprites/beta4_gamma10/seed0/model.safetensors"
    env = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / ".cache")}
    arguments = ["-s", tree / "Snakefile", "-d", folder, model, INSIDE]
    snakemake(folder, *arguments, env=env, before=user)
    assert (folder / model).owner() == ("nobody" if user else base.owner())
    record = json.loads((folder / model).with_name("training.json").read_text())
    assert record["provenance"]["container"].startswith("sha256:")
