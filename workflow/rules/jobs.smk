import json
from pathlib import Path

BY_FOLDER = {training.folder: training for training in TRAININGS}


def is_made(training):
    """Whether a training is done, and no cut or failed job left a state to go on from."""
    folder = Path(training.folder)
    made = all((folder / name).exists() for name in TRAINING_FILES)
    return made and not (folder / "model.resume.pt").exists()


def jobs_of(dataset):
    """Split the trainings of a data set into jobs, each of which trains side by side.

    One small network cannot fill a GPU, and several can; processor cores are filled by jobs. A
    job is done as a whole, so what is made shares none with what is missing. Seeds of a method are
    neighbours, and so are methods with a discriminator, which take longer.
    """
    size = config["trainings_per_job"] or (50 if GPU_DEVICE.exists() else 1)
    trainings = sorted(EXPERIMENT.trainings(dataset), key=lambda t: t.settings.adversarial)
    groups = {}
    for training in trainings:
        groups.setdefault((is_made(training), training.of_its_job), []).append(training)
    missing_first = sorted(groups.items(), key=lambda group: group[0][0])
    return [
        [training.folder for training in group[i : i + size]]
        for _, group in missing_first
        for i in range(0, len(group), size)
    ]


def job_name(folders):
    """First and last training of a job, for its files: all would make too long a name."""
    first, last = (Path(folders[i]).relative_to(RESULTS) for i in (0, -1))
    return first if first == last else f"{first}_to_{'_'.join(last.parts[1:])}"


def trainings_of_outputs(wildcards, output):
    """What the trainings of a job do not share, by folder, for its outputs.

    Snakemake takes no change of what depends on outputs for a reason to train again, so that
    trainings may share a job or not.
    """
    folders = [str(Path(model).parent) for model in output.model]
    return json.dumps({folder: BY_FOLDER[folder].own for folder in folders})


# A cluster's jobs read the workflow again, on nodes that may have no GPU and when files have
# been made: they are told how the machine that submits them has split the trainings.
if workflow.is_main_process:
    os.environ["BETAGVAE_JOBS"] = json.dumps({name: jobs_of(name) for name in DATASETS})


envvars:
    "BETAGVAE_JOBS",


JOBS = json.loads(os.environ["BETAGVAE_JOBS"])
