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
        code=source_digest("scoring"),
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
        code=source_digest("score_tables"),
    shell:
        "betagvae score-tables --methods {params.methods} --scores {input:q} {params.settings} "
        "--outputs {output:q} 2> {log:q}"
