import functools
import hashlib
import os
import shutil
import subprocess
import sys
from modulefinder import ModuleFinder
from pathlib import Path

# Commands are found when Snakemake was started from an environment that is not activated.
COMMANDS = [str(Path(sys.executable).parent), *os.get_exec_path()]
os.environ.update(PATH=os.pathsep.join(COMMANDS))

RESULTS = f"{config['results_dir']}/{config['run']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
DATASETS = {name: entry for name, entry in config["datasets"].items() if entry}
METHODS = config["methods"]
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


def find_file(path):
    """A file of the working directory or, where it has none, of the workflow itself."""
    if Path(path).exists():
        return path
    return os.path.relpath(Path(workflow.basedir) / path)


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


def revision():
    """The commit of the workflow, for the records of jobs that have no git."""
    command = ["git", "-C", workflow.basedir, "describe", "--always", "--dirty", "--abbrev=40"]
    if not shutil.which("git"):
        return "unknown"
    done = subprocess.run([*command, "--exclude=*"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


os.environ.setdefault("BETAGVAE_REVISION", revision())
os.environ.update(BETAGVAE_LOCK=str(Path(workflow.basedir) / "envs" / "job.txt"))
TABLES = [f"{RESULTS}/table2.json"] + [
    f"{RESULTS}/{table}{extension}"
    for table in (["table1"] if SWEEP else []) + ["table2", "scores", "quality"]
    for extension in (".csv", ".md", ".tex")
]
FIGURES = [
    f"{RESULTS}/{figure}{extension}"
    for figure in [*QUANTITY_OF_FIGURE, *DATASET_OF_FIGURE, "training_curves", "rate_distortion"]
    for extension in PICTURE_EXTENSIONS
]
