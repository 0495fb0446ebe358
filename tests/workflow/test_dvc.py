"""DVC and Snakemake in step, through the real tools, at tiny scale, in git repositories."""

import csv
import filecmp
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from snakemake.utils import update_config
from source_tree import ROOT, WORKFLOW, copy_source_tree, planned_jobs

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
    copy_source_tree(folder, (*WORKFLOW, "dvc.yaml", ".dvcignore", ".gitignore"))
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    shutil.copy(ROOT / ".dvc/.gitignore", folder / ".dvc/.gitignore")
    (folder / "config/tiny.yaml").write_text(tiny_configuration(), encoding="utf-8")
    (folder / "params.yaml").write_text("run: tiny\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    run(folder, "dvc", "remote", "add", "--default", "lab", remote)
    run(folder, "dvc", "remote", "modify", "lab", "verify", "true")
    commit(folder, "project")
    return folder


def files(folder):
    """Return every generated file and, for the trained weights, when it was made."""
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
        when = clock.randrange(10**9, 2 * 10**9)
        os.utime(path, (when, when))


def clone(origin, folder):
    run(origin, "git", "clone", "--quiet", origin, folder)
    return folder


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return tmp_path_factory.mktemp("dvc")


@pytest.fixture(scope="module")
def origin(workplace):
    """The project with everything made by Snakemake, then taken over and pushed by DVC."""
    folder = repository(workplace / "origin", workplace / "remote")
    snakemake(folder)
    made = {name: path.stat().st_mtime_ns for name, path in files(folder).items()}
    run(folder, "dvc", "repro")
    assert {name: path.stat().st_mtime_ns for name, path in files(folder).items()} == made
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
