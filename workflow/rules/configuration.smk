import os
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from betagvae.configuration import check, completed, shared_settings
from betagvae.errors import UserError
from betagvae.experiment import from_configuration
from betagvae.paper import reported
from betagvae.paper.claims.definition import load_claims
from betagvae.settings import setting


def find_file(path):
    """A file of the working directory or, where it has none, of the workflow itself."""
    if Path(path).exists():
        return path
    return os.path.relpath(Path(workflow.basedir) / path)


def in_order(name):
    """What config.yaml names first: Snakemake puts first what another file changes."""
    first = load_configfile(f"{workflow.basedir}/config/config.yaml")[name]
    return {key: config[name][key] for key in dict.fromkeys([*first, *config[name]])}


try:
    check(config)
    config.update({name: in_order(name) for name in ("methods", "datasets")})
    config.update(completed(config))
    DATASETS = config["datasets"]
    SHARED = shared_settings(config)
    EXPERIMENT = from_configuration(config, SHARED)
    TRAININGS = EXPERIMENT.all_trainings()
    CLAIMS_FILE = find_file(config["claims"])
    validate(load_configfile(CLAIMS_FILE), "../schemas/claims.schema.yaml", set_default=False)
    load_claims(Path(CLAIMS_FILE))
except UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = EXPERIMENT.folder
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
QUANTITY_OF_FIGURE = {"fig4": "reconstruction_error", "fig5": "kl"}
DATASET_OF_FIGURE = {
    figure: dataset for figure, dataset in reported.FIGURES.items() if dataset in DATASETS
} | {
    f"traversals_{dataset}": dataset
    for dataset in DATASETS
    if dataset not in reported.FIGURES.values()
}
