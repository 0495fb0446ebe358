"""DVC and Snakemake in step, through the real tools, at tiny scale, in git repositories."""

import base64
import csv
import filecmp
import hashlib
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
import yaml
from dvc.repo import Repo
from moto.server import ThreadedMotoServer
from snakemake.utils import update_config
from trees import ROOT, WORKFLOW, copy_tree, planned_jobs

BIN = Path(sys.executable).parent
GENERATED = ("data", "results", ".snakemake/metadata")
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "CORES": "2",
    "DVC_NO_ANALYTICS": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}

pytestmark = pytest.mark.slow


def run(folder, *words, check=True, **environment):
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert not check or done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def snakemake(folder, *arguments):
    configuration = ("--configfile", "config/tiny.yaml")
    return run(folder, "snakemake", "--cores", 2, *arguments, *configuration)


def git(folder, *arguments):
    return run(folder, "git", "-c", "user.name=T", "-c", "user.email=t@example.org", *arguments)


def commit(folder, message):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def tiny_configuration():
    """One data set: what is tested here does not depend on how many there are."""
    config = {}
    for path in (ROOT / "config/demo.yaml", Path(__file__).with_name("tiny.yaml")):
        update_config(config, yaml.safe_load(path.read_text(encoding="utf-8")))
    update_config(config, {"table1": None, "datasets": {"chairs3d": None, "dsprites": None}})
    return yaml.safe_dump(config)


def repository(folder, remote):
    """Make a git repository of the project in which DVC's run is the tiny one."""
    copy_tree(folder, (*WORKFLOW, "dvc.yaml", ".dvcignore", ".gitignore"))
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore", "plots.html"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
    (folder / "config/tiny.yaml").write_text(tiny_configuration(), encoding="utf-8")
    (folder / "params.yaml").write_text("run: tiny\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    run(folder, "dvc", "remote", "add", "--default", "lab", remote)
    run(folder, "dvc", "remote", "modify", "lab", "verify", "true")
    commit(folder, "project")
    return folder


def files(folder):
    """Return the path of every generated file by its name in the project."""
    found = {}
    for part in GENERATED:
        for path in (folder / part).rglob("*"):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path
    return found


def assert_same_bytes(one, other):
    first, second = files(one), files(other)
    assert first.keys() == second.keys()
    different = [name for name in first if not filecmp.cmp(first[name], second[name], False)]
    assert not different


def assert_nothing_to_do(folder):
    assert planned_jobs(snakemake(folder, "--dry-run")) == {}
    assert "up to date" in run(folder, "dvc", "status")


def scramble_modification_times(folder):
    clock = random.Random(0)
    for path in files(folder).values():
        when = clock.randrange(10**9, int(time.time()))
        os.utime(path, (when, when))


def clone(origin, folder):
    run(origin, "git", "clone", "--quiet", origin, folder)
    return folder


def modification_times(folder):
    return {name: path.stat().st_mtime_ns for name, path in files(folder).items()}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return tmp_path_factory.mktemp("dvc")


@pytest.fixture(scope="module")
def origin(workplace):
    """The project with everything made by Snakemake, then taken over and pushed by DVC."""
    folder = repository(workplace / "origin", workplace / "remote")
    snakemake(folder)
    made = modification_times(folder)
    run(folder, "dvc", "repro")
    assert modification_times(folder) == made
    commit(folder, "results")
    run(folder, "dvc", "push")
    return folder


@pytest.fixture(scope="module")
def pulled(origin, workplace):
    folder = clone(origin, workplace / "pulled")
    run(folder, "dvc", "pull")
    return folder


def test_dvc_takes_over_what_snakemake_made(origin):
    assert_nothing_to_do(origin)
    assert "up to date" in run(origin, "dvc", "repro")


def test_a_clone_has_the_same_bytes_and_nothing_to_do(origin, pulled):
    assert_same_bytes(origin, pulled)
    scramble_modification_times(pulled)
    assert_nothing_to_do(pulled)
    assert "up to date" in run(pulled, "dvc", "repro")


def test_where_jobs_run_is_chosen_without_entering_the_lock(origin, tmp_path):
    lock = (origin / "dvc.lock").read_bytes()
    (tmp_path / "config.yaml").write_text("cores: 1\n")
    output = run(origin, "dvc", "repro", "--force", SNAKEMAKE_PROFILE=str(tmp_path))
    assert f"{tmp_path} and workflow specific profile" in output
    assert (origin / "dvc.lock").read_bytes() == lock


@pytest.fixture(scope="module", params=["paper", "tiny"])
def nothing_made(request, origin, workplace):
    """The project before anything is made, and its Snakemake with that configuration."""
    folder = workplace / f"outputs of {request.param}"
    generated = {origin / part for part in GENERATED}
    shutil.copytree(
        *(origin, folder),
        ignore=lambda parent, names: [n for n in names if Path(parent, n) in generated],
    )
    (folder / "params.yaml").write_text(f"run: {request.param}\n")
    return folder, ("snakemake", "--configfile", f"config/{request.param}.yaml")


def outputs_of(folder, command):
    summary = run(folder, *command, "--summary")
    table = csv.DictReader(io.StringIO(summary[summary.index("output_file\t") :]), delimiter="\t")
    outputs = {row["output_file"] for row in table}
    assert len(outputs) > 20
    return outputs


def test_every_output_lies_under_exactly_one_of_dvcs(nothing_made):
    folder, command = nothing_made
    tracked = [Path(out.fspath) for out in Repo(folder).index.outs]
    for output in outputs_of(folder, command):
        assert len([out for out in tracked if (folder / output).is_relative_to(out)]) == 1, output


def test_every_output_is_asked_for_so_that_a_lost_one_is_made_again(nothing_made):
    """Snakemake does not miss a file that only files made before depended on."""
    folder, command = nothing_made
    stages = [stage.cmd for stage in Repo(folder).index.stages]
    targets = {word for cmd in stages for word in re.search("--nolock (.*) --conf", cmd)[1].split()}
    plan = run(folder, *command, "--dry-run", "--", *sorted(targets))
    inputs = re.findall(rf"^(?:local)?rule (?:{'|'.join(targets)}):\n    input: (.*)$", plan, re.M)
    asked_for = {file for files in inputs for file in files.split(", ")}
    assert outputs_of(folder, command) - asked_for == set()


def test_an_experiment_trains_only_what_it_must_and_can_be_compared(origin, workplace):
    folder = shutil.copytree(origin, workplace / "experiment")
    before = modification_times(folder)
    change = "config/config.yaml:methods.beta-VAE.beta=5"
    output = run(folder, "dvc", "exp", "run", "--name", "stronger", "--set-param", change)
    jobs = planned_jobs(output.partition("Running stage 'results'")[2])
    assert (jobs["training"], jobs["evaluation"]) == (1, 1)
    assert all(
        before[name] == when
        for name, when in modification_times(folder).items()
        if "seed" in name and name in before
    )

    shown = run(folder, "dvc", "exp", "show", "--only-changed", "--csv")
    rows = {row["Experiment"] or row["rev"]: row for row in csv.DictReader(io.StringIO(shown))}
    assert rows["main"]["methods.beta-VAE.beta"] == "4"
    assert rows["stronger"]["methods.beta-VAE.beta"] == "5"
    kl = "celeba (stand-in).test.β-VAE.kl"
    assert rows["main"][kl] != rows["stronger"][kl]
    assert kl in run(folder, "dvc", "metrics", "diff", "main", "stronger")
    assert "β-GVAE" not in run(folder, "dvc", "metrics", "diff", "main", "stronger")
    assert "methods.beta-VAE.beta" in run(folder, "dvc", "params", "diff", "main", "stronger")
    run(folder, "dvc", "plots", "diff", "main", "stronger", "--out", "plots")
    page = (folder / "plots/index.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 8
    assert "KL divergence" in page
    assert "Fig. 4" in page


def finished_trainings(folder):
    """Return when each training's weights were written, of those that Snakemake has as finished."""
    found = {}
    for record in (folder / ".snakemake/metadata").rglob("*"):
        path = base64.b64decode(record.name).decode()
        # Marks of an unfinished job go last, that of its last output last of all: a kill before
        # that has the job done again.
        unfinished = folder / ".snakemake/incomplete" / record.name
        if path.endswith("training.json") and not unfinished.exists():
            found[path] = (folder / path).with_name("model.safetensors").stat().st_mtime_ns
    return found


def wait_until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start_repro(folder):
    return subprocess.Popen(
        ["dvc", "repro"],
        cwd=folder,
        env={**ENVIRONMENT, "CORES": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A script's background jobs ignore interrupts, and so do their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_repro_goes_on_where_it_was_cut(origin, workplace):
    folder = repository(workplace / "cut", workplace / "remote of cut")

    process = start_repro(folder)
    wait_until(lambda: len(finished_trainings(folder)) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    first = finished_trainings(folder)

    process = start_repro(folder)
    wait_until(lambda: len(finished_trainings(folder)) > len(first))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    second = finished_trainings(folder)
    assert second.items() > first.items()

    # Snakemake goes on alone, and the next call waits for it.
    logs = folder / ".snakemake/log"
    count = len(list(logs.iterdir()))
    process = start_repro(folder)
    wait_until(lambda: len(list(logs.iterdir())) > count)
    process.kill()
    process.wait(60)
    run(folder, "dvc", "repro")

    assert finished_trainings(folder).items() >= second.items()
    assert_nothing_to_do(folder)
    results, expected = folder / "results/tiny", origin / "results/tiny"
    for path in expected.rglob("*"):
        if path.name in {"model.safetensors", "metrics.json", "table2.csv", "fig6.png"}:
            assert filecmp.cmp(results / path.relative_to(expected), path, False), path


def cached(cache, path):
    """Return the object in a DVC cache or remote that holds a file's bytes."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return cache / "files/md5" / md5[:2] / md5[2:]


def damage(path):
    """Change one bit as a failing disk does: size, time and mode stay."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_damaged_objects_are_found_and_made_again(pulled, workplace):
    folder = shutil.copytree(pulled, workplace / "damaged")
    remote = shutil.copytree(workplace / "remote", workplace / "damaged remote")
    run(folder, "dvc", "remote", "modify", "lab", "url", remote)
    models = sorted((folder / "results").rglob("model.safetensors"))
    whole = [model.read_bytes() for model in models]
    for model in models[:2]:
        damage(cached(folder / ".dvc/cache", model))
    damage(cached(remote, models[0]))
    for model in models[:2]:
        model.unlink()
    run(folder, "dvc", "checkout")
    assert [model.read_bytes() for model in models] != whole
    before = modification_times(folder)

    output = run(folder, sys.executable, "workflow/scripts/restore.py", check=False)
    assert f"lost: {models[0]}" in output
    assert [model.read_bytes() for model in models[1:]] == whole[1:]
    assert not models[0].exists()

    run(folder, "dvc", "repro")
    assert [model.read_bytes() for model in models] == whole
    assert cached(folder / ".dvc/cache", models[0]).read_bytes() == whole[0]
    after = modification_times(folder)
    other = models[2].relative_to(folder).as_posix()
    assert after[other] == before[other]
    assert_nothing_to_do(folder)


def test_what_a_remote_damaged_is_not_pulled(origin, workplace):
    remote = shutil.copytree(workplace / "remote", workplace / "another damaged remote")
    folder = clone(origin, workplace / "reader")
    run(folder, "dvc", "remote", "modify", "lab", "url", remote)
    table = origin / "results/tiny/table2.csv"
    damage(cached(remote, table))
    output = run(folder, "dvc", "pull", check=False)
    assert "failed" in output
    run(folder, sys.executable, "workflow/scripts/restore.py", check=False)
    assert not (folder / "results/tiny/table2.csv").exists()
    assert set(planned_jobs(snakemake(folder, "--dry-run"))) == {"table2", "table2_metrics"}


@pytest.fixture
def s3_server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_an_s3_remote(origin, workplace, s3_server):
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    boto3.client(
        "s3",
        endpoint_url=s3_server,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    ).create_bucket(Bucket="lab")
    source = shutil.copytree(origin, workplace / "to S3")
    run(source, "dvc", "remote", "add", "--force", "--default", "lab", "s3://lab/betagvae")
    run(source, "dvc", "remote", "modify", "lab", "endpointurl", s3_server)
    commit(source, "S3")
    run(source, "dvc", "push", **keys)
    reader = clone(source, workplace / "from S3")
    run(reader, "dvc", "pull", **keys)
    assert_same_bytes(source, reader)
