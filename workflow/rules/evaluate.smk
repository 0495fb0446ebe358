rule evaluation:
    input:
        array=lambda wildcards: array_path(wildcards.dataset),
        model=f"{RUN}/model.safetensors",
        record=f"{RUN}/training.json",
    output:
        metrics=f"{RUN}/metrics.json",
        codes=f"{RUN}/codes.safetensors",
    log:
        f"{LOGS}/{RUN_NAME}/evaluate.log",
    benchmark:
        f"{BENCHMARKS}/{RUN_NAME}/evaluate.tsv"
    threads: config["evaluation"]["threads"]
    resources:
        **config["resources"]["evaluate"],
    params:
        settings=flags(config["evaluation"]),
        code=source_digest("evaluation.metrics"),
    shell:
        "betagvae evaluate {input.array:q} {input.model:q} --metrics {output.metrics:q} "
        "--codes {output.codes:q} {params.settings} 2> {log:q}"
