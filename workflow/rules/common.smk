import functools
import hashlib
import os
import subprocess
import sys
from modulefinder import ModuleFinder
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

# Commands are found when Snakemake was started from an environment that is not activated.
COMMANDS = [str(Path(sys.executable).parent), *os.get_exec_path()]
os.environ.update(PATH=os.pathsep.join(COMMANDS))

if (
    DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
    and not Path(config["container"]).exists()
):
    raise WorkflowError(
        f"there is no image at {config['container']}: name one that has envs/job.txt and this "
        "library installed as `container` in the configuration, or leave out --use-singularity"
    )

RESULTS = f"{config['results_dir']}/{config['run']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
DATASETS = {name: entry for name, entry in config["datasets"].items() if entry}
METHODS = {name.replace("beta", "β"): method for name, method in config["methods"].items()}
SWEEP = config["table1"] if config["table1"] and config["table1"]["dataset"] in DATASETS else None
PAIRS = SWEEP["pairs"] if SWEEP else []
RUN_NAME = "{dataset}/beta{beta}_gamma{gamma}/seed{seed}"
RUN = f"{RESULTS}/{RUN_NAME}"
PICTURE_EXTENSIONS = (".png", ".pdf")
QUANTITY_OF_FIGURE = {"fig4": "reconstruction_error", "fig5": "kl"}
DATASET_OF_FIGURE = {
    figure: dataset
    for figure, dataset in {"fig6": "celeba", "fig7": "dsprites", "fig8": "chairs3d"}.items()
    if dataset in DATASETS
}


wildcard_constraints:
    dataset="|".join(DATASETS),
    beta=r"\d+(\.\d+)?",
    gamma=r"\d+(\.\d+)?",
    seed=r"\d+",


def array_path(dataset):
    """A drawn stand-in never has the name of the published data."""
    return f"{config['data_dir']}/{dataset}.{DATASETS[dataset]['source']}.npy"


def run_path(dataset, beta, gamma, seed):
    return f"{RESULTS}/{dataset}/beta{beta:g}_gamma{gamma:g}/seed{seed}"


def method_runs(dataset, method):
    """The runs of one method, a seed each."""
    return [run_path(dataset, seed=seed, **METHODS[method]) for seed in config["seeds"]]


def sweep_runs():
    """The runs of Table 1; a pair that is also a method's is the same run."""
    return [
        run_path(SWEEP["dataset"], beta, gamma, seed)
        for beta, gamma in PAIRS
        for seed in config["seeds"]
    ]


METHOD_RUNS = list(
    dict.fromkeys(
        run for dataset in DATASETS for method in METHODS for run in method_runs(dataset, method)
    )
)
ALL_RUNS = list(dict.fromkeys(METHOD_RUNS + sweep_runs()))


def all_files(runs, *names):
    return [f"{run}/{name}" for run in runs for name in names]


@functools.cache
def source_digest(*modules):
    """Digest of the modules' source and of all they import from this library.

    Snakemake sees a command's parameters but not its source: with this as a parameter, an edit
    reruns the stages that use what was edited, and only those.
    """
    source = Path(workflow.basedir) / "src"
    finder = ModuleFinder(path=[str(source)])
    for module in modules:
        finder.import_hook(f"betagvae.{module}")
    files = sorted(Path(found.__file__) for found in finder.modules.values() if found.__file__)
    content = hashlib.sha256()
    for file in files:
        content.update(file.relative_to(source).as_posix().encode() + file.read_bytes())
    return content.hexdigest()[:16]


def revision():
    """The commit of the workflow, for the records of jobs that have no git."""
    command = ["git", "-C", workflow.basedir, "describe", "--always", "--dirty", "--abbrev=40"]
    done = subprocess.run([*command, "--exclude=*"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


os.environ.setdefault("BETAGVAE_REVISION", revision())
TABLES = [f"{RESULTS}/table2.json"] + [
    f"{RESULTS}/{table}{extension}"
    for table in (["table1"] if SWEEP else []) + ["table2"]
    for extension in (".csv", ".md", ".tex")
]
FIGURES = [
    f"{RESULTS}/{figure}{extension}"
    for figure in [*QUANTITY_OF_FIGURE, *DATASET_OF_FIGURE, "training_curves"]
    for extension in PICTURE_EXTENSIONS
]
