import functools
import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from modulefinder import ModuleFinder

# Commands are found when Snakemake was started from an environment that is not activated.
COMMANDS = [str(Path(sys.executable).parent), *os.get_exec_path()]
os.environ.update(PATH=os.pathsep.join(COMMANDS))

TRAINING_NAME = "{dataset}/{method}/seed{seed}"
TRAINING = f"{RESULTS}/{TRAINING_NAME}"
TRAINING_FILES = ("model.safetensors", "history.csv", "training.json")
EVALUATION_FILES = ("metrics.json", "codes.safetensors", "scores.json", "quality.json")
PICTURE_EXTENSIONS = (".png", ".pdf")


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    method="|".join(sorted({re.escape(Path(t.folder).parent.name) for t in TRAININGS})),
    seed=r"\d+",


def array_path(dataset):
    """A drawn stand-in never has the name of the published data."""
    return f"{config['data_dir']}/{dataset}.{DATASETS[dataset]['source']}.npy"


def all_files(trainings, *names):
    return [f"{training.folder}/{name}" for training in trainings for name in names]


METHOD_TRAININGS = EXPERIMENT.without_table1().all_trainings()


def resources(stage):
    """What a job of a stage asks of a scheduler."""
    asked = config["resources"][stage].items()
    return {name: value for name, value in asked if value is not None}


def flags(settings):
    """One section of the configuration for a shell."""
    return shlex.join(setting.flags(settings))


def data_flags(wildcards):
    entry = DATASETS[wildcards.dataset]
    return flags({"source": entry["source"], **config["data"], **entry["data"]})


def feature_weights():
    """The files that the feature network of image quality needs."""
    network = config["quality"]["features"]
    return [f"{config['data_dir']}/{network}.pth"] if network == "inception_v3" else []


def weights_flags():
    download_dir = config["data"]["download_dir"]
    return flags({**config["quality"]["weights"], "download_dir": download_dir})


def quality_flags():
    """The feature network's weights are a file that a rule makes."""
    settings = {key: value for key, value in config["quality"].items() if key != "weights"}
    return flags({**settings, "weights": feature_weights()})


def shown_in_traversals(wildcards):
    """The first seed of each method on the figure's data set."""
    dataset = DATASET_OF_FIGURE[wildcards.figure]
    return EXPERIMENT.without_table1().of_first_seed().on(dataset)


def traversal_files(wildcards):
    shown = shown_in_traversals(wildcards)
    files = ("model.safetensors", "training.json", "metrics.json")
    return all_files(shown.all_trainings(), *files)


def traversal_flags(wildcards):
    base_index = DATASETS[DATASET_OF_FIGURE[wildcards.figure]]["base_index"]
    return flags({**config["figures"]["traversal"], "base_index": base_index})


@functools.cache
def source_digest(*modules):
    """Digest of the modules' source, of all they import from this library, and of the image.

    Snakemake sees a command's parameters but not its software: with this as a parameter, an edit
    reruns the stages that use what was edited, and only those; another image reruns all.
    """
    source = Path(workflow.basedir) / "src"
    finder = ModuleFinder(path=[str(source)])
    for module in modules:
        finder.import_hook(f"betagvae.{module}")
    files = sorted(Path(found.__file__) for found in finder.modules.values() if found.__file__)
    content = hashlib.sha256(ENVIRONMENT.encode())
    for file in files:
        content.update(file.relative_to(source).as_posix().encode() + file.read_bytes())
    return content.hexdigest()[:16]


def paper_digest(module):
    """A table or figure also depends on what the data sets' modules say of them."""
    return source_digest(module, *(f"data.{dataset}" for dataset in DATASETS))


def revision():
    """The commit of the workflow, for the records of jobs that have no git."""
    command = ["git", "-C", workflow.basedir, "describe", "--always", "--dirty", "--abbrev=40"]
    if not shutil.which("git"):
        return "unknown"
    done = subprocess.run([*command, "--exclude=*"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


os.environ.setdefault("BETAGVAE_REVISION", revision())
os.environ.update(BETAGVAE_LOCK=str(Path(workflow.basedir) / "envs" / "job.txt"))
