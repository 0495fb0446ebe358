from snakemake.utils import min_version, validate

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


validate(config, "workflow/schemas/config.schema.yaml", set_default=False)


include: "workflow/rules/common.smk"
include: "workflow/rules/container.smk"


container: str(IMAGE)


include: "workflow/rules/flags.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/trainings.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/claims.smk"
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
        all_files(ALL_RUNS, *TRAINING_FILES),
    localrule: True


rule evaluate:
    input:
        all_files(ALL_RUNS, "metrics.json", "codes.safetensors", "scores.json", "quality.json"),
    localrule: True
