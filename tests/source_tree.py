"""Copies of the source tree, to run the real workflow tools in."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORKFLOW = ("Snakefile", "config", "profiles", "src", "workflow")


def copy_source_tree(folder, parts=WORKFLOW):
    """Copy the named files and folders of the source tree into a new folder."""
    folder.mkdir(parents=True)
    for part in parts:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)


def planned_jobs(output):
    """Return how often each rule would run, from what a dry run of Snakemake printed."""
    if "Nothing to be done" in output:
        return {}
    stats = output.partition("Job stats:")[2].partition("total")[0]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.M)}
    jobs.pop("all", None)
    return jobs
