import os
from pathlib import Path


def seeds_per_job():
    """How many seeds one job trains side by side.

    One small network cannot fill a GPU, and several can; processor cores are filled by jobs. A
    cluster's jobs read the workflow again, on nodes that may differ: the answer is handed on.
    """
    chosen = config["seeds_per_job"] or (5 if GPU_DEVICE.exists() else 1)
    return int(os.environ.setdefault("BETAGVAE_SEEDS_PER_JOB", str(chosen)))


def seed_groups():
    size, seeds = seeds_per_job(), config["seeds"]
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def of_seeds(pattern, seeds):
    return expand(pattern, seed=seeds, allow_missing=True)


def group_name(seeds):
    """The run's name with all seeds of the group, for the files of the job."""
    return RUN_NAME.replace("{seed}", "-".join(map(str, seeds)))


def seeds_of_outputs(wildcards, output):
    """The seeds that a job trains, read off its outputs.

    Snakemake takes no change of what depends on outputs for a reason to train again, so that
    seeds may share a job or not.
    """
    return [Path(model).parent.name.removeprefix("seed") for model in output.model]


SEED_GROUPS = seed_groups()
