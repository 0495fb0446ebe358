rule evaluation:
    input:
        array=lambda wildcards: array_path(wildcards.dataset),
        model=f"{TRAINING}/model.safetensors",
        record=f"{TRAINING}/training.json",
    output:
        metrics=f"{TRAINING}/metrics.json",
        codes=f"{TRAINING}/codes.safetensors",
    log:
        f"{LOGS}/{TRAINING_NAME}/evaluate.log",
    benchmark:
        f"{BENCHMARKS}/{TRAINING_NAME}/evaluate.tsv"
    threads: config["evaluation"]["threads"]
    resources:
        **resources("evaluate"),
    params:
        settings=flags(config["evaluation"]),
        code=source_digest("evaluation.metrics"),
    shell:
        "betagvae evaluate {input.array:q} {input.model:q} --metrics {output.metrics:q} "
        "--codes {output.codes:q} {params.settings} 2> {log:q}"


rule disentanglement_scores:
    input:
        array=lambda wildcards: array_path(wildcards.dataset),
        codes=f"{TRAINING}/codes.safetensors",
        metrics=f"{TRAINING}/metrics.json",
    output:
        f"{TRAINING}/scores.json",
    log:
        f"{LOGS}/{TRAINING_NAME}/scores.log",
    benchmark:
        f"{BENCHMARKS}/{TRAINING_NAME}/scores.tsv"
    threads: 1
    resources:
        **resources("scores"),
    params:
        settings=flags(config["scores"]),
        code=source_digest("evaluation.scoring"),
    shell:
        "betagvae scores {input.array:q} {input.codes:q} --metrics {input.metrics:q} "
        "--output {output:q} {params.settings} 2> {log:q}"


rule image_quality:
    input:
        feature_weights(),
        array=lambda wildcards: array_path(wildcards.dataset),
        model=f"{TRAINING}/model.safetensors",
        record=f"{TRAINING}/training.json",
    output:
        f"{TRAINING}/quality.json",
    log:
        f"{LOGS}/{TRAINING_NAME}/quality.log",
    benchmark:
        f"{BENCHMARKS}/{TRAINING_NAME}/quality.tsv"
    threads: config["quality"]["threads"]
    resources:
        **resources("evaluate"),
    params:
        settings=quality_flags(),
        code=source_digest("evaluation.image_quality"),
    shell:
        "betagvae quality {input.array:q} {input.model:q} --output {output:q} "
        "{params.settings} 2> {log:q}"
