import json
import os
import re
from pathlib import Path

TRAINING_FILES = ("model.safetensors", "history.csv", "training.json")


def trainings_of(dataset):
    """Data set, β, γ and seed of each training.

    Seeds of a pair are neighbours, and so are pairs with a discriminator, which take longer.
    """
    pairs = [(method["beta"], method["gamma"]) for method in METHODS.values()]
    if SWEEP and SWEEP["dataset"] == dataset:
        pairs += map(tuple, PAIRS)
    pairs = sorted(dict.fromkeys(pairs), key=lambda pair: pair[1] != 0)
    return [(dataset, *pair, seed) for pair in pairs for seed in config["seeds"]]


def is_made(run):
    """Whether a training is done, and no cut or failed job left a state to go on from."""
    made = all(Path(run, name).exists() for name in TRAINING_FILES)
    return made and not Path(run, "model.resume.pt").exists()


def jobs_of(dataset):
    """Split the trainings of a data set into jobs, each of which trains side by side.

    One small network cannot fill a GPU, and several can; processor cores are filled by jobs. A
    job is done as a whole, so what is made shares none with what is missing.
    """
    size = config["trainings_per_job"] or (50 if GPU_DEVICE.exists() else 1)
    missing, made = [], []
    for training in trainings_of(dataset):
        (made if is_made(run_path(*training)) else missing).append(training)
    return [part[i : i + size] for part in (missing, made) for i in range(0, len(part), size)]


def job_name(trainings):
    """First and last run of a job, for its files: all would make too long a name."""
    first, last = (Path(run_path(*trainings[i])).relative_to(RESULTS) for i in (0, -1))
    return first if first == last else f"{first}_to_{'_'.join(last.parts[1:])}"


def runs_of_outputs(wildcards, output):
    """The trainings of a job as BETA,GAMMA,SEED=FOLDER, read off its outputs.

    Snakemake takes no change of what depends on outputs for a reason to train again, so that
    trainings may share a job or not.
    """
    run = re.compile(r"(.*/beta(.+)_gamma(.+)/seed(\d+))/model\.safetensors")
    return [run.sub(r"\2,\3,\4=\1", model) for model in output.model]


# A cluster's jobs read the workflow again, on nodes that may have no GPU and when files have
# been made: they are told how the machine that submits them has split the trainings.
if workflow.is_main_process:
    os.environ["BETAGVAE_JOBS"] = json.dumps({name: jobs_of(name) for name in DATASETS})


envvars:
    "BETAGVAE_JOBS",


TRAINING_JOBS = json.loads(os.environ["BETAGVAE_JOBS"])
