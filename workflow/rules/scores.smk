rule scores:
    input:
        array=lambda wildcards: array_path(wildcards.dataset),
        codes=f"{RUN}/codes.safetensors",
        metrics=f"{RUN}/metrics.json",
    output:
        f"{RUN}/scores.json",
    log:
        f"{LOGS}/{RUN_NAME}/scores.log",
    benchmark:
        f"{BENCHMARKS}/{RUN_NAME}/scores.tsv"
    threads: 1
    resources:
        **config["resources"]["scores"],
    params:
        settings=flags(config["scores"]),
        code=source_digest("evaluation.scoring"),
    shell:
        "betagvae scores {input.array:q} {input.codes:q} --metrics {input.metrics:q} "
        "--output {output:q} {params.settings} 2> {log:q}"


rule score_tables:
    input:
        all_files(ALL_RUNS, "scores.json"),
    output:
        multiext(f"{RESULTS}/scores", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/scores.log",
    benchmark:
        f"{BENCHMARKS}/scores.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        methods=method_flags(),
        settings=flags(config["tables"]),
        code=source_digest("paper.score_tables"),
    shell:
        "betagvae score-tables --methods {params.methods} --scores {input:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"


rule feature_weights:
    output:
        f"{config['data_dir']}/inception_v3.pth",
    log:
        f"{LOGS}/data/inception_v3.log",
    benchmark:
        f"{BENCHMARKS}/data/inception_v3.tsv"
    threads: 1
    resources:
        **config["resources"]["data"],
    params:
        settings=weights_flags(),
        code=source_digest("evaluation.inception_weights"),
    shell:
        "betagvae weights inception_v3 --output {output:q} {params.settings} 2> {log:q}"


rule quality:
    input:
        feature_weights(),
        array=lambda wildcards: array_path(wildcards.dataset),
        model=f"{RUN}/model.safetensors",
        record=f"{RUN}/training.json",
    output:
        f"{RUN}/quality.json",
    log:
        f"{LOGS}/{RUN_NAME}/quality.log",
    benchmark:
        f"{BENCHMARKS}/{RUN_NAME}/quality.tsv"
    threads: config["quality"]["threads"]
    resources:
        **config["resources"]["evaluate"],
    params:
        settings=quality_flags(),
        code=source_digest("evaluation.image_quality"),
    shell:
        "betagvae quality {input.array:q} {input.model:q} --output {output:q} "
        "{params.settings} 2> {log:q}"


rule quality_tables:
    input:
        all_files(ALL_RUNS, "quality.json"),
    output:
        multiext(f"{RESULTS}/quality", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/quality.log",
    benchmark:
        f"{BENCHMARKS}/quality.tsv"
    threads: 1
    resources:
        **config["resources"]["paper"],
    params:
        methods=method_flags(),
        settings=flags(config["tables"]),
        code=source_digest("paper.quality_tables"),
    shell:
        "betagvae quality-tables --methods {params.methods} --quality {input:q} "
        "{params.settings} --outputs {output:q} 2> {log:q}"
