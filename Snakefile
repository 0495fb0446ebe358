from snakemake.utils import min_version, validate

min_version("9.0")


configfile: "config/config.yaml"


validate(config, "workflow/schemas/config.schema.yaml", set_default=False)


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/paper.smk"


localrules:
    all,
    data,
    train,
    evaluate,
    tables,
    figures,


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,


rule data:
    input:
        [array_path(dataset) for dataset in DATASETS],


rule train:
    input:
        [f"{run}/model.safetensors" for run in ALL_RUNS],


rule evaluate:
    input:
        [f"{run}/metrics.json" for run in ALL_RUNS],


rule tables:
    input:
        TABLES,


rule figures:
    input:
        FIGURES,
