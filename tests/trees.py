"""Copies of the source tree, and the real Snakemake in them at tiny scale."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
TINY = (ROOT / "config" / "demo.yaml", Path(__file__).parent / "workflow" / "tiny.yaml")
WORKFLOW = ("Snakefile", "config", "profiles", "src", "workflow")
IMAGE = ("Containerfile", "envs", "pyproject.toml")


def copy_tree(folder, parts=WORKFLOW + IMAGE):
    """Copy what a user's clone holds; the image, where there is one, as a link."""
    folder.mkdir(parents=True)
    for part in parts:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.sif*")
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            shutil.copy(source, folder / part)
    if "envs" in parts:
        for file in (ROOT / "envs").glob("*.sif*"):
            (folder / "envs" / file.name).symlink_to(file)
    return folder


def snakemake(folder, *arguments, base=TINY, configfiles=(), check=True, env=None, before=()):
    words = [*before, SNAKEMAKE, "--cores", "2", *arguments]
    words += ["--configfile", *base, *configfiles]
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        env=env,
    )
    assert not check or done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def planned(folder, *arguments, **options):
    """Return how often each rule would run."""
    return planned_jobs(snakemake(folder, "--dry-run", *arguments, **options))


def planned_jobs(output):
    """Return how often each rule would run, from what a dry run of Snakemake printed.

    Each job of trainings has a rule of its own, and they are counted together.
    """
    if "Nothing to be done" in output:
        return {}
    stats = output.partition("Job stats:")[2].partition("total")[0]
    jobs = Counter()
    for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.M):
        jobs[re.sub(r"^training_\w+_\d+$", "training", rule)] += int(count)
    jobs.pop("all", None)
    return jobs
