from snakemake.utils import min_version, validate

min_version("9.0")


configfile: "config/config.yaml"


validate(config, "workflow/schemas/config.schema.yaml", set_default=False)


container: config["container"]


include: "workflow/rules/common.smk"
include: "workflow/rules/flags.smk"
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
        [array_path(dataset).replace(".npy", ".json") for dataset in DATASETS],


rule train:
    input:
        all_files(ALL_RUNS, "model.safetensors", "history.csv", "training.json"),


rule evaluate:
    input:
        all_files(ALL_RUNS, "metrics.json", "codes.safetensors"),


rule tables:
    input:
        TABLES,


rule figures:
    input:
        FIGURES,
