import sys

from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


sys.path.insert(0, f"{workflow.basedir}/src")


include: "workflow/rules/configuration.smk"
include: "workflow/rules/container.smk"


container: str(IMAGE)


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/jobs.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/bench.smk"


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,
        CLAIMS,
    localrule: True


rule data:
    input:
        [array_path(dataset) for dataset in DATASETS],
        [array_path(dataset).replace(".npy", ".json") for dataset in DATASETS],
        feature_weights(),
    localrule: True


rule train:
    input:
        all_files(TRAININGS, *TRAINING_FILES),
    localrule: True


rule evaluate:
    input:
        all_files(TRAININGS, *EVALUATION_FILES),
    localrule: True
