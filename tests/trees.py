"""Copies of the source tree, and the real Snakemake in them at tiny scale."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
TINY = Path(__file__).parent / "workflow" / "tiny.yaml"
PARTS = ("Containerfile", "Snakefile", "config", "envs", "profiles", "pyproject.toml", "src")


def copy_tree(folder):
    """Copy what a user's clone holds; the image, where there is one, as a link."""
    folder.mkdir(parents=True)
    for part in (*PARTS, "workflow"):
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.sif*")
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            shutil.copy(source, folder / part)
    for file in (ROOT / "envs").glob("*.sif*"):
        (folder / "envs" / file.name).symlink_to(file)
    return folder


def snakemake(folder, *arguments, configfiles=(), check=True, env=None, before=()):
    words = [*before, SNAKEMAKE, "--cores", "2", *arguments]
    words += ["--configfile", ROOT / "config" / "demo.yaml", TINY, *configfiles]
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
    output = snakemake(folder, "--dry-run", *arguments, **options)
    if "Nothing to be done" in output:
        return {}
    stats = output.partition("Job stats:")[2].partition("total")[0]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.M)}
    jobs.pop("all", None)
    return jobs
